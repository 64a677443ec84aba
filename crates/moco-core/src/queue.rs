//! The queue of negatives: the keys of past batches, first in, first out.

use std::{collections::HashMap, ops::Range};

use backbones::{
    StateDict,
    cpu_times::{self, Part},
};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use crate::{Error, QueueInit, Result, random::unit_rows};

/// Keys of past batches, `[K, D]`, as a ring buffer; every slot has its patient and the step that wrote it.
///
/// A plain struct on the inner device, not a module: nothing in it is trained or averaged.
#[derive(Debug, Clone)]
pub struct Queue {
    rows: Tensor<2>,
    /// The slot to be written next.
    pointer: usize,
    /// Slots that count as negatives, from slot 0.
    filled: usize,
    patients: Vec<Option<u32>>,
    /// Step that wrote a slot; `None` for random rows.
    written_at: Vec<Option<u64>>,
}

/// The negatives of a batch.
#[derive(Debug)]
pub struct Negatives {
    /// `[n, D]`, `n <= K`; may be 0 if keys of the batch are negatives.
    pub rows: Tensor<2>,
    /// `[N, n]`, true where a row is not a negative of a query; `None` if all are.
    pub excluded: Option<Tensor<2, Bool>>,
    /// `[N, N]`, true where a key of the batch is not a negative of a query, as its own is not; `None` if none is.
    pub batch: Option<Tensor<2, Bool>>,
}

/// Two runs of slots, which may go over the end of the ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quarters {
    /// First slots of the newest keys and of the oldest.
    pub(crate) starts: [usize; 2],
    pub(crate) length: usize,
}

impl Queue {
    /// `size` slots of length `dim`, empty or with random rows drawn on the host.
    pub fn new(size: usize, dim: usize, init: QueueInit, seed: u64, device: &Device) -> Self {
        let device = &device.clone().inner();
        let (rows, filled) = match init {
            QueueInit::Random => {
                let rows = TensorData::new(unit_rows(seed, size, dim), [size, dim]);
                (Tensor::from_data(rows, device), size)
            }
            QueueInit::Masked => (Tensor::zeros([size, dim], device), 0),
        };
        Self { rows, pointer: 0, filled, patients: vec![None; size], written_at: vec![None; size] }
    }

    /// Slots, the paper's K.
    pub fn size(&self) -> usize {
        self.patients.len()
    }

    /// Slots that count as negatives.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Slots that hold a key (not a random row).
    pub fn written(&self) -> usize {
        self.written_at.iter().flatten().count()
    }

    /// Mean number of steps since the keys were written, at step `now`; `None` before the first key.
    pub fn mean_age(&self, now: u64) -> Option<f64> {
        let ages: Vec<f64> = self.written_at.iter().flatten().map(|&at| now.saturating_sub(at) as f64).collect();
        (!ages.is_empty()).then(|| ages.iter().sum::<f64>() / ages.len() as f64)
    }

    /// The `n` newest keys at most, oldest first, `[m, D]`.
    pub fn newest(&self, n: usize) -> Tensor<2> {
        let m = n.min(self.written());
        let size = self.size();
        let start = (self.pointer + size - m) % size;
        let rows = |start, n| self.rows.clone().slice_dim(0, start..start + n);
        let first = m.min(size - start); // rows before the end of the ring
        if first == m { rows(start, m) } else { Tensor::cat(vec![rows(start, first), rows(0, m - first)], 0) }
    }

    /// The negatives of a batch; with `mask_same_patient`, rows of a query's own patient are excluded for that query.
    pub fn negatives(&self, patients: &[u32], mask_same_patient: bool) -> Negatives {
        let _t = cpu_times::time(Part::Loss);
        let n = self.filled;
        let rows = if n == self.size() { self.rows.clone() } else { self.rows.clone().slice_dim(0, 0..n) };
        let excluded = if mask_same_patient { self.same_patient(patients) } else { None };
        Negatives { rows, excluded, batch: None }
    }

    /// As [`Self::negatives`], with the other keys of the batch beside those of the queue.
    pub fn negatives_with_batch(&self, patients: &[u32], mask_same_patient: bool) -> Negatives {
        self.negatives_with_part(patients, 0..patients.len(), mask_same_patient)
    }

    /// As [`Self::negatives_with_batch`], for the queries of a part of a batch whose `patients` these are.
    pub(crate) fn negatives_with_part(
        &self,
        patients: &[u32],
        part: Range<usize>,
        mask_same_patient: bool,
    ) -> Negatives {
        let n = patients.len();
        let other = |i: usize, j: usize| i != j && !(mask_same_patient && patients[i] == patients[j]);
        let excluded: Vec<bool> = (part.start * n..part.end * n).map(|at| !other(at / n, at % n)).collect();
        let batch = Tensor::from_data(TensorData::new(excluded, [part.len(), n]), &self.rows.device());
        Negatives { batch: Some(batch), ..self.negatives(&patients[part], mask_same_patient) }
    }

    /// Means of a value of every row, `[n]`, over the newest and over the oldest quarter of the keys, `[2]`; `None`
    /// while all keys have one age.
    pub(crate) fn young_and_old(&self, values: Tensor<1>) -> Option<Tensor<1>> {
        let Quarters { starts, length } = self.quarters()?;
        let mean = |start: usize| {
            let first = length.min(self.size() - start); // rows before the end of the ring
            let sum = |start: usize, n: usize| values.clone().narrow(0, start, n).sum();
            let sums = if first == length { sum(start, first) } else { sum(start, first) + sum(0, length - first) };
            sums / length as f64
        };
        Some(Tensor::cat(starts.map(mean).to_vec(), 0))
    }

    /// Where the newest and the oldest quarter of the keys lie in the ring; `None` while all keys have one age.
    pub(crate) fn quarters(&self) -> Option<Quarters> {
        let (size, written) = (self.size(), self.written());
        let slot_before = |n: usize| (self.pointer + size - n) % size;
        let length = written / 4;
        if length == 0 || self.written_at[slot_before(1)] == self.written_at[slot_before(written)] {
            return None;
        }
        Some(Quarters { starts: [slot_before(length), slot_before(written)], length })
    }

    fn same_patient(&self, patients: &[u32]) -> Option<Tensor<2, Bool>> {
        let mut slots: HashMap<u32, Vec<usize>> = HashMap::new();
        for (slot, patient) in self.patients[..self.filled].iter().enumerate() {
            if let Some(patient) = patient {
                slots.entry(*patient).or_default().push(slot);
            }
        }
        let n = self.filled;
        let mut mask = vec![false; patients.len() * n];
        for (query, patient) in patients.iter().enumerate() {
            for &slot in slots.get(patient).into_iter().flatten() {
                mask[query * n + slot] = true;
            }
        }
        let data = TensorData::new(mask.clone(), [patients.len(), n]);
        mask.contains(&true).then(|| Tensor::from_data(data, &self.rows.device()))
    }

    /// Overwrites the oldest slots with the keys of a batch. Of a batch larger than the queue only the last K keys are
    /// kept.
    ///
    /// # Shapes
    /// - keys `[N, D]`, of any N; `patients` has N entries
    ///
    /// # Panics
    /// When the number of patients is not N, or keys have another length than the rows.
    pub fn enqueue(&mut self, keys: Tensor<2>, patients: &[u32], step: u64) {
        let _t = cpu_times::time(Part::Loss);
        let [n, _] = keys.dims();
        assert_eq!(n, patients.len(), "queue: {n} keys, {} patients", patients.len());
        let size = self.size();
        let dropped = n.saturating_sub(size);
        let start = (self.pointer + dropped) % size;
        let kept = n - dropped;
        let first = kept.min(size - start); // rows before the end of the ring
        self.write(start, keys.clone().narrow(0, dropped, first));
        if first < kept {
            self.write(0, keys.narrow(0, dropped + first, kept - first));
        }
        for (i, &patient) in patients[dropped..].iter().enumerate() {
            let slot = (start + i) % size;
            self.patients[slot] = Some(patient);
            self.written_at[slot] = Some(step);
        }
        self.pointer = (self.pointer + n) % size;
        self.filled = self.filled.saturating_add(n).min(size);
    }

    fn write(&mut self, start: usize, keys: Tensor<2>) {
        let [n, d] = keys.dims();
        if n > 0 {
            self.rows.inplace(|rows| rows.slice_assign([start..start + n, 0..d], keys));
        }
    }

    /// The queue on the host: `queue [K, D]`, `queue_ptr [1]`, `filled [1]`, `patients [K]`, `written_at [K]` (−1:
    /// none).
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_record(&self) -> Result<StateDict> {
        let rows = self.rows.clone().try_into_data();
        let rows = rows.map_err(|e| Error::Device { what: "reading the queue", reason: e.to_string() })?;
        let one = |x: usize| TensorData::new(vec![x as i64], [1]);
        let patients: Vec<i64> = self.patients.iter().map(|p| p.map_or(-1, i64::from)).collect();
        let written: Vec<i64> = self.written_at.iter().map(|s| s.map_or(-1, |s| s as i64)).collect();
        let k = self.size();
        Ok(StateDict::from([
            ("queue".to_owned(), rows),
            ("queue_ptr".to_owned(), one(self.pointer)),
            ("filled".to_owned(), one(self.filled)),
            ("patients".to_owned(), TensorData::new(patients, [k])),
            ("written_at".to_owned(), TensorData::new(written, [k])),
        ]))
    }

    /// Restores the record of [`Self::to_record`] into a queue of the same size.
    ///
    /// # Errors
    /// Names the entry that is missing, of another shape or out of range; the queue is then unchanged.
    pub fn load_record(&mut self, record: &StateDict) -> Result<()> {
        let [k, d] = self.rows.dims();
        let rows = entry(record, "queue", &[k, d])?.clone();
        let pointer = integers(record, "queue_ptr", 1)?[0];
        let filled = integers(record, "filled", 1)?[0];
        let patients = integers(record, "patients", k)?;
        let written = integers(record, "written_at", k)?;
        let range = |name: &str, value: i64, end: usize| {
            usize::try_from(value)
                .ok()
                .filter(|&v| v <= end)
                .ok_or_else(|| bad(name, format!("{value}"), format!("a number from 0 to {end}")))
        };
        let pointer = range("queue_ptr", pointer, k - 1)?;
        let filled = range("filled", filled, k)?;
        let patients = patients.into_iter().map(|p| match p {
            -1 => Ok(None),
            p => u32::try_from(p).map(Some).map_err(|_| bad("patients", p.to_string(), "a patient id".into())),
        });
        self.patients = patients.collect::<Result<_>>()?;
        self.written_at = written.into_iter().map(|s| u64::try_from(s).ok()).collect();
        let dtype = self.rows.dtype();
        self.rows = Tensor::from_data(rows.convert_dtype(dtype), &self.rows.device());
        (self.pointer, self.filled) = (pointer, filled);
        Ok(())
    }
}

fn bad(name: &str, found: String, expected: String) -> Error {
    Error::Batch { found: format!("queue record, {name}: {found}"), expected }
}

fn entry<'a>(record: &'a StateDict, name: &str, shape: &[usize]) -> Result<&'a TensorData> {
    let data = record.get(name).ok_or_else(|| bad(name, "nothing".into(), format!("{shape:?}")))?;
    if data.shape().to_vec() != shape {
        return Err(bad(name, format!("{:?}", data.shape().to_vec()), format!("{shape:?}")));
    }
    Ok(data)
}

fn integers(record: &StateDict, name: &str, n: usize) -> Result<Vec<i64>> {
    let data = entry(record, name, &[n])?;
    if data.dtype() != DType::I64 {
        return Err(bad(name, format!("{:?}", data.dtype()), "I64".into()));
    }
    data.try_to_vec::<i64>().map_err(|e| bad(name, e.to_string(), "integers".into()))
}
