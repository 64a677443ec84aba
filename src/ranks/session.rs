//! The ranks of a run, from its start to its end.

use std::{sync::Arc, time::Duration};

use moco_core::{Alone, Collective, gather_any};

use crate::{
    error::{Error, Result},
    ranks::{Launch, host_threads},
};

/// This process as one of the ranks of a run; the only one where nobody has started several.
///
/// To be kept until the end of the program. If it is dropped by a panic, it ends all ranks.
#[derive(Debug)]
pub struct Ranks {
    together: Arc<dyn Collective>,
    launch: Launch,
    #[cfg(feature = "mpi")]
    _joined: Option<moco_core::Joined>,
}

impl Ranks {
    /// The only rank.
    #[must_use]
    pub fn alone() -> Self {
        Self::over(Arc::new(Alone), Launch { rank: 0, size: 1, local_rank: 0, local_size: 1, by: "" })
    }

    /// A member of any group, such as threads of this process.
    #[must_use]
    pub fn member(together: Arc<dyn Collective>) -> Self {
        let (rank, size) = (together.rank(), together.size());
        Self::over(together, Launch { rank, size, local_rank: rank, local_size: size, by: "" })
    }

    fn over(together: Arc<dyn Collective>, launch: Launch) -> Self {
        Self {
            together,
            launch,
            #[cfg(feature = "mpi")]
            _joined: None,
        }
    }

    /// Joins the processes that were started together with this one. Where they work together, none waits longer than `deadline`
    /// for another, and where they work apart, for a sign of life of another; but reading ([`Self::in_turn`]) is waited for
    /// however long it takes. `report` is told why all are ended.
    ///
    /// # Errors
    /// [`Error::Ranks`] when several were started and this build cannot join them, or MPI does not find them.
    pub fn join(deadline: Duration, report: fn(&str)) -> Result<Self> {
        let launch = Launch::of_this_process();
        if launch.size == 1 {
            return Ok(Self::alone());
        }
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            // Of a pool that is there already the threads stay as they are, which is only slower.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(host_threads()).build_global();
        }
        Self::join_mpi(launch, deadline, report)
    }

    #[cfg(feature = "mpi")]
    fn join_mpi(launch: Launch, deadline: Duration, report: fn(&str)) -> Result<Self> {
        let joined = moco_core::Mpi::join(deadline, report)?;
        let together: Arc<dyn Collective> = Arc::clone(&joined.ranks) as _;
        if (together.rank(), together.size()) != (launch.rank, launch.size) {
            let Launch { size, by, .. } = launch;
            return Err(Error::Ranks(format!(
                "{by} started {size} processes, and MPI finds {}: each would be a run of its own. Start them with the mpirun of \
                 the MPI library that this program was built with, or with srun --mpi=pmix (OpenMPI) or --mpi=pmi2 (MPICH); srun \
                 --mpi=list shows what there is",
                together.size()
            )));
        }
        Ok(Self { together, launch, _joined: Some(joined) })
    }

    #[cfg(not(feature = "mpi"))]
    fn join_mpi(launch: Launch, _: Duration, _: fn(&str)) -> Result<Self> {
        let Launch { size, by, .. } = launch;
        Err(Error::Ranks(format!(
            "{by} started {size} processes, and this build cannot join them to one run: each would do all of it. Build with \
             --features mpi (docs/scale.md says what that needs), or start one process"
        )))
    }

    /// What the ranks do together.
    #[must_use]
    pub fn together(&self) -> &Arc<dyn Collective> {
        &self.together
    }

    /// How the processes were started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        self.launch
    }

    /// Number of this rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.together.rank()
    }

    /// Number of ranks.
    #[must_use]
    pub fn size(&self) -> usize {
        self.together.size()
    }

    /// Whether this rank writes and prints.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Does work that leaves something for others on the same machine, such as a cache: rank 0 first, then one rank of every
    /// other machine, then all others.
    ///
    /// # Errors
    /// Those of the work, or a rank that is gone.
    pub fn in_turn<T>(&self, what: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let turn = match (self.rank(), self.launch.local_rank) {
            (0, _) => 0,
            (_, 0) => 1,
            _ => 2,
        };
        let (mut work, mut result) = (Some(work), None);
        for now in 0..3 {
            if now == turn {
                result = work.take().map(|work| work()).transpose()?;
            }
            self.together.barrier(what, true)?;
        }
        result.ok_or_else(|| Error::Ranks(format!("{what}: no turn")))
    }

    /// Text of rank 0 for all.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn text_of_first(&self, text: String, what: &'static str) -> Result<String> {
        let bytes = self.together.broadcast(text.into_bytes(), what)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Checks that all ranks have the same, told in a few words.
    ///
    /// # Errors
    /// [`Error::Ranks`] says what each has.
    pub fn same(&self, own: &str, what: &'static str) -> Result<()> {
        let all = gather_any(&*self.together, own.as_bytes(), what)?;
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(Error::Ranks(format!(
                "rank {rank} has another {what} than rank 0: {}, expected {}. All ranks need the same files under the same path",
                String::from_utf8_lossy(&all[rank]),
                String::from_utf8_lossy(&all[0])
            ))),
        }
    }
}
