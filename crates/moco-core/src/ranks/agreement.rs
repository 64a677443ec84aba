//! What the ranks of a step exchange: keys with their patients, gradients, measurements.

use burn::tensor::{DType, Tensor, TensorData};

use super::{
    collective::{Addend, Collective, numbers},
    sum,
};
use crate::{Error, NamedGradients, Result, metrics::Laps};

/// The keys of a whole batch, in its order, on every rank.
#[derive(Debug)]
pub(crate) struct Keys {
    /// `[N, D]`.
    pub(crate) all: Tensor<2>,
    /// Patient of each.
    pub(crate) patients: Vec<u32>,
    /// First of the `n` rows that belong to this rank's queries.
    pub(crate) first: usize,
    /// `n`.
    pub(crate) own: usize,
}

impl Keys {
    /// The keys of this rank's queries, `[n, D]`.
    pub(crate) fn of_queries(&self) -> Tensor<2> {
        if self.own == self.patients.len() {
            self.all.clone()
        } else {
            self.all.clone().narrow(0, self.first, self.own)
        }
    }
}

/// The group of ranks of a step, and the time spent on it: until the last of them had come, and from then on.
#[derive(Debug)]
pub(crate) struct Exchanged<'a> {
    pub(crate) ranks: &'a dyn Collective,
    pub(crate) waited_s: f64,
    pub(crate) exchange_s: f64,
}

impl<'a> Exchanged<'a> {
    pub(crate) fn new(ranks: &'a dyn Collective) -> Self {
        Self { ranks, waited_s: 0.0, exchange_s: 0.0 }
    }

    /// Seconds spent on the other ranks so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.waited_s + self.exchange_s
    }

    /// Does something together, once all ranks are there.
    fn together<T>(&mut self, what: &'static str, work: impl FnOnce(&dyn Collective) -> Result<T>) -> Result<T> {
        let mut clock = Laps::start();
        self.ranks.barrier(what, false)?;
        self.waited_s += clock.lap();
        let done = work(self.ranks);
        self.exchange_s += clock.lap();
        done
    }

    /// Adds values over the ranks.
    pub(crate) fn sum<T: Addend>(&mut self, values: &mut [T], what: &'static str) -> Result<()> {
        self.together(what, |ranks| sum(ranks, values, what))
    }

    /// Gathers the keys that each rank has made, `[n, D]`, in the order in which they were dealt; `restore` says which of them
    /// belongs to each image of the batch. `patients` are those of this rank's queries.
    pub(crate) fn keys(&mut self, made: Tensor<2>, patients: &[u32], restore: Option<&[usize]>) -> Result<Keys> {
        let ([n, d], device) = (made.dims(), made.device());
        let (dtype, mut mine) = read(made.reshape([-1]), "reading keys")?; // sync point
        let width = mine.len() / n; // bytes of a key
        mine.extend_from_slice(bytemuck::cast_slice(patients));
        let each = mine.len();
        let all = self.together("keys", |ranks| ranks.gather(&mine, "keys"))?;
        let (mut keys, mut gathered) = (Vec::new(), Vec::<u32>::new());
        for part in all.chunks_exact(each) {
            let (rows, people) = part.split_at(n * width);
            keys.extend_from_slice(rows);
            gathered.extend(numbers::<u32>(people));
        }
        let rows: Vec<u8> = match restore {
            Some(restore) => restore.iter().flat_map(|&at| &keys[at * width..(at + 1) * width]).copied().collect(),
            None => keys,
        };
        let data = tensor_data(&rows, dtype, [gathered.len(), d]);
        let all = Tensor::from_data(data, &device);
        Ok(Keys { all, patients: gathered, first: self.ranks.rank() * patients.len(), own: patients.len() })
    }

    /// Averages gradients over the ranks.
    pub(crate) fn average(&mut self, gradients: &mut NamedGradients) -> Result<()> {
        let Some(joined) = gradients.joined() else { return Ok(()) };
        let device = joined.device();
        let what = "reading gradients";
        let failed = |e: String| Error::Device { what, reason: e };
        let data = joined.try_into_data().map_err(|e| failed(e.to_string()))?; // sync point
        let (dtype, length) = (data.dtype(), data.num_elements());
        let data = match dtype {
            DType::F64 => {
                let mut values = data.try_into_vec::<f64>().map_err(|e| failed(e.to_string()))?;
                self.sum(&mut values, "gradients")?;
                TensorData::new(values, [length])
            }
            _ => {
                let data = data.convert::<f32>();
                let mut values = data.try_into_vec::<f32>().map_err(|e| failed(e.to_string()))?;
                self.sum(&mut values, "gradients")?;
                TensorData::new(values, [length])
            }
        };
        gradients.replace(Tensor::from_data(data, (&device, dtype)));
        gradients.scale(1.0 / self.ranks.size() as f64);
        Ok(())
    }
}

/// Numbers of a device as bytes: f64 as they are, anything else in f32.
fn read(values: Tensor<1>, what: &'static str) -> Result<(DType, Vec<u8>)> {
    let data = values.try_into_data().map_err(|e| Error::Device { what, reason: e.to_string() })?;
    let dtype = if data.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    Ok((dtype, data.convert_dtype(dtype).as_bytes().to_vec()))
}

fn tensor_data<const D: usize>(bytes: &[u8], dtype: DType, shape: [usize; D]) -> TensorData {
    match dtype {
        DType::F64 => TensorData::new(numbers::<f64>(bytes), shape),
        _ => TensorData::new(numbers::<f32>(bytes), shape),
    }
}
