//! Ranks that are processes, over MPI.

use std::{
    fmt::{self, Debug},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use mpi::{
    Threading,
    environment::Universe,
    request::{Request, Scope, scope},
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Root},
};

use super::collective::{Collective, fault, room};
use crate::Result;

/// How long a rank that waits for others keeps its processor busy before it rests between two looks, and for how long it rests.
const BUSY: Duration = Duration::from_millis(2);
const REST: Duration = Duration::from_micros(50);

/// The processes that `mpirun` or `srun` has started together.
///
/// All operations are immediate ones that are looked after until they are complete, so that a rank that hangs is noticed: after
/// the deadline the reason is reported and all processes are ended. MPI ends them, too, when one dies.
pub struct Mpi {
    rank: usize,
    size: usize,
    deadline: Duration,
    report: fn(&str),
    /// One operation at a time, from whatever thread.
    turn: Mutex<()>,
}

/// MPI itself, which is left when this is dropped, with all ranks together. While a panic unwinds it ends all processes instead,
/// because the others would wait for ever.
#[must_use]
pub struct Joined {
    /// The ranks.
    pub ranks: std::sync::Arc<Mpi>,
    universe: Option<Universe>,
}

impl Mpi {
    /// Joins the processes of this start. `report` is told why a rank ends all others, before it does.
    ///
    /// # Errors
    /// MPI that was joined before in this process, or that serves one thread only.
    pub fn join(deadline: Duration, report: fn(&str)) -> Result<Joined> {
        let what = "joining MPI";
        let joined = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = joined.ok_or_else(|| fault(what, "this process has joined it before"))?;
        if threading < Threading::Serialized {
            return Err(fault(what, "this MPI library cannot be called from several threads, one at a time"));
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let ranks = Self { rank, size, deadline, report, turn: Mutex::new(()) };
        Ok(Joined { ranks: std::sync::Arc::new(ranks), universe: Some(universe) })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an operation, at most as long as the deadline says unless there is something to do `meanwhile`.
    fn wait<'a, D: ?Sized, S: Scope<'a>>(
        &self,
        mut request: Request<'a, D, S>,
        what: &str,
        mut meanwhile: Option<&mut dyn FnMut()>,
    ) {
        let begun = Instant::now();
        loop {
            match request.test() {
                Ok(_) => return,
                Err(pending) => request = pending,
            }
            let waited = begun.elapsed();
            // One after the other, so that the first to tell of it ends the others.
            let last = self.deadline + Duration::from_millis(200) * self.rank as u32;
            if let Some(meanwhile) = &mut meanwhile {
                meanwhile();
            } else if waited > last {
                let limit = self.deadline.as_secs_f64();
                self.abort(&format!(
                    "waited {limit:.0} s for the other ranks ({what}): one of them hangs or is far behind. The run ends here \
                     and goes on from its last checkpoint; --rank-timeout sets how long is waited"
                ));
            }
            if waited < BUSY { thread::yield_now() } else { thread::sleep(REST) }
        }
    }

    fn fits(&self, bytes: usize, what: &'static str) -> Result<()> {
        // MPI counts in 32 bits.
        let total = bytes.saturating_mul(self.size);
        if i32::try_from(total).is_ok() {
            return Ok(());
        }
        Err(fault(
            what,
            format!("{bytes} bytes for each of {} ranks are more than MPI sends at once (2 GiB)", self.size),
        ))
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather_into(&self, mine: &[u8], all: &mut [u8], what: &'static str) -> Result<()> {
        room(mine.len() * self.size, all, what)?;
        self.fits(mine.len(), what)?;
        let _turn = self.turn();
        let world = SimpleCommunicator::world();
        // Of a rank that gives another number MPI makes an error that ends all of them.
        scope(|s| self.wait(world.immediate_all_gather_into(s, mine, all), what, None));
        Ok(())
    }

    fn exchange_into(&self, mine: &[u8], pieces: &mut [u8], what: &'static str) -> Result<()> {
        room(mine.len(), pieces, what)?;
        self.fits(mine.len() / self.size, what)?;
        let _turn = self.turn();
        let world = SimpleCommunicator::world();
        scope(|s| self.wait(world.immediate_all_to_all_into(s, mine, pieces), what, None));
        Ok(())
    }

    fn broadcast(&self, bytes: Vec<u8>, what: &'static str) -> Result<Vec<u8>> {
        self.fits(bytes.len() / self.size, what)?;
        let _turn = self.turn();
        let world = SimpleCommunicator::world();
        let root = world.process_at_rank(0);
        let mut length = [bytes.len() as u64];
        scope(|s| self.wait(root.immediate_broadcast_into(s, &mut length[..]), what, None));
        let mut bytes = if self.rank == 0 { bytes } else { vec![0; length[0] as usize] };
        scope(|s| self.wait(root.immediate_broadcast_into(s, &mut bytes[..]), what, None));
        Ok(bytes)
    }

    fn barrier(&self, what: &'static str, patient: bool) -> Result<()> {
        if patient {
            return self.meet(what, &mut || ());
        }
        let _turn = self.turn();
        self.wait(SimpleCommunicator::world().immediate_barrier(), what, None);
        Ok(())
    }

    fn meet(&self, what: &'static str, meanwhile: &mut dyn FnMut()) -> Result<()> {
        let _turn = self.turn();
        self.wait(SimpleCommunicator::world().immediate_barrier(), what, Some(meanwhile));
        Ok(())
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn abort(&self, reason: &str) {
        (self.report)(reason);
        SimpleCommunicator::world().abort(1)
    }
}

impl Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mpi {{ rank: {} of {} }}", self.rank, self.size)
    }
}

impl Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ranks.fmt(f)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if thread::panicking() {
            self.ranks.abort("it panicked");
        }
        drop(self.universe.take());
    }
}
