//! Ranks that are threads of one process.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::collective::{Collective, fault, room};
use crate::Result;

/// How often a rank that waits does what is to be done meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// A member of a group of threads. One that is dropped, as when its thread ends or panics, ends the group: who still waits
/// for it gets an error.
#[derive(Debug)]
pub struct LocalGroup {
    rank: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    size: usize,
    deadline: Duration,
    round: Mutex<Round>,
    changed: Condvar,
}

/// What has been given in the present round, and the result of the last one.
#[derive(Debug)]
struct Round {
    number: u64,
    given: Vec<Option<Vec<u8>>>,
    last: Arc<Vec<Vec<u8>>>,
    /// Why the group has ended.
    ended: Option<String>,
}

impl LocalGroup {
    /// The members of a group of `size` ranks, in rank order, one for each thread. None waits longer than ten minutes.
    #[allow(clippy::new_ret_no_self)] // a group is its members
    #[must_use]
    pub fn new(size: usize) -> Vec<Self> {
        Self::with_deadline(size, Duration::from_secs(600))
    }

    /// As [`Self::new`], with another time that a rank waits for the others.
    #[must_use]
    pub fn with_deadline(size: usize, deadline: Duration) -> Vec<Self> {
        let given = (0..size).map(|_| None).collect();
        let round = Mutex::new(Round { number: 0, given, last: Arc::default(), ended: None });
        let shared = Arc::new(Shared { size, deadline, round, changed: Condvar::new() });
        (0..size).map(|rank| Self { rank, shared: Arc::clone(&shared) }).collect()
    }

    /// Gives bytes, and waits for those of all ranks, at most as long as the deadline says unless there is something to do
    /// `meanwhile`.
    fn give(
        &self,
        mine: Vec<u8>,
        what: &'static str,
        mut meanwhile: Option<&mut dyn FnMut()>,
    ) -> Result<Arc<Vec<Vec<u8>>>> {
        let Shared { deadline, changed, .. } = &*self.shared;
        let mut round = self.lock();
        if let Some(reason) = &round.ended {
            return Err(fault(what, reason));
        }
        let number = round.number;
        round.given[self.rank] = Some(mine);
        if round.given.iter().all(Option::is_some) {
            round.last = Arc::new(round.given.iter_mut().filter_map(Option::take).collect());
            round.number += 1;
            changed.notify_all();
        }
        let begun = Instant::now();
        while round.number == number {
            if let Some(reason) = &round.ended {
                return Err(fault(what, reason));
            }
            if let Some(meanwhile) = &mut meanwhile {
                drop(round);
                meanwhile();
                round = self.lock();
                if round.number != number || round.ended.is_some() {
                    continue;
                }
            } else if begun.elapsed() >= *deadline {
                let late: Vec<usize> = (0..self.shared.size).filter(|&rank| round.given[rank].is_none()).collect();
                let reason = format!("ranks {late:?} did not come within {} s", deadline.as_secs());
                round.ended = Some(reason.clone());
                changed.notify_all();
                return Err(fault(what, reason));
            }
            let left = match meanwhile {
                Some(_) => LOOK,
                None => deadline.saturating_sub(begun.elapsed()).max(Duration::from_millis(10)),
            };
            round = changed.wait_timeout(round, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Arc::clone(&round.last))
    }

    fn equal(all: &[Vec<u8>], what: &'static str) -> Result<()> {
        let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
        match lengths.iter().all(|&n| n == lengths[0]) {
            true => Ok(()),
            false => Err(fault(what, format!("the ranks gave {lengths:?} bytes, expected the same number of each"))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.shared.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, reason: String) {
        self.lock().ended.get_or_insert(reason);
        self.shared.changed.notify_all();
    }
}

impl Collective for LocalGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.size
    }

    fn gather_into(&self, mine: &[u8], into: &mut [u8], what: &'static str) -> Result<()> {
        room(mine.len() * self.shared.size, into, what)?;
        let all = self.give(mine.to_vec(), what, None)?;
        Self::equal(&all, what)?;
        if !mine.is_empty() {
            into.chunks_exact_mut(mine.len()).zip(&*all).for_each(|(into, of)| into.copy_from_slice(of));
        }
        Ok(())
    }

    fn exchange_into(&self, mine: &[u8], into: &mut [u8], what: &'static str) -> Result<()> {
        room(mine.len(), into, what)?;
        let all = self.give(mine.to_vec(), what, None)?;
        Self::equal(&all, what)?;
        let piece = mine.len() / self.shared.size;
        if piece > 0 {
            let own = self.rank * piece..(self.rank + 1) * piece;
            into.chunks_exact_mut(piece).zip(&*all).for_each(|(into, of)| into.copy_from_slice(&of[own.clone()]));
        }
        Ok(())
    }

    fn broadcast(&self, bytes: Vec<u8>, what: &'static str) -> Result<Vec<u8>> {
        let mine = if self.rank == 0 { bytes } else { Vec::new() };
        Ok(self.give(mine, what, None)?[0].clone())
    }

    fn barrier(&self, what: &'static str, patient: bool) -> Result<()> {
        if patient { self.meet(what, &mut || ()) } else { self.give(Vec::new(), what, None).map(|_| ()) }
    }

    fn meet(&self, what: &'static str, meanwhile: &mut dyn FnMut()) -> Result<()> {
        self.give(Vec::new(), what, Some(meanwhile)).map(|_| ())
    }

    fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    fn abort(&self, reason: &str) {
        self.end(format!("rank {} ended: {reason}", self.rank));
    }
}

impl Drop for LocalGroup {
    fn drop(&mut self) {
        self.end(format!("rank {} has ended", self.rank));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;
    use crate::ranks::{gather_any, sum};

    fn on<T: Send>(size: usize, work: impl Fn(LocalGroup) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let threads: Vec<_> = LocalGroup::new(size).into_iter().map(|m| scope.spawn(|| work(m))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn every_rank_gets_the_same_sums_gathered_in_rank_order() {
        // Not a multiple of the ranks, and many rounds, in which a fast rank must not overtake a slow one.
        let found = on(3, |ranks| {
            let mut seen = Vec::new();
            for round in 0..200_u32 {
                let mut values: Vec<f32> = (0..7).map(|i| (i * 10 + ranks.rank() as u32 + round) as f32).collect();
                sum(&ranks, &mut values, "test").unwrap();
                let names = gather_any(&ranks, &vec![ranks.rank() as u8; ranks.rank()], "test").unwrap();
                seen.push((values, names, ranks.broadcast(vec![ranks.rank() as u8 + 5], "test").unwrap()));
            }
            seen
        });
        for seen in &found {
            assert_eq!(seen, &found[0]);
            let expected: Vec<f32> = (0..7).map(|i| (30 * i + 3 + 3 * 199) as f32).collect();
            assert_eq!(seen[199], (expected, vec![vec![], vec![1], vec![2, 2]], vec![5]));
        }
    }

    #[test]
    fn who_waits_for_a_rank_that_ends_panics_or_is_late_gets_an_error() {
        let texts = on(3, |ranks| match ranks.rank() {
            2 => None,
            _ => Some(ranks.barrier("the test", true).unwrap_err().to_string()),
        });
        assert!(texts[..2].iter().flatten().all(|text| text.contains("the test") && text.contains("rank 2 has ended")));

        let mut members = LocalGroup::with_deadline(2, Duration::from_millis(50));
        let second = members.pop().unwrap();
        let thread = thread::spawn(move || {
            let _second = second;
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert!(members[0].gather(&[1], "keys").unwrap_err().to_string().contains("rank 1 has ended"));

        let members = LocalGroup::with_deadline(2, Duration::from_millis(50));
        let text = members[1].gather(&[1], "keys").unwrap_err().to_string();
        assert!(text.contains("keys") && text.contains("ranks [0] did not come"), "{text}");
    }
}
