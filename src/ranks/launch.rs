//! How this process was started: alone, or as one of several by MPI or SLURM.

use std::sync::OnceLock;

/// What the environment says of the processes that were started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Number of this process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub size: usize,
    /// Number of this process among those of its machine, from 0.
    pub local_rank: usize,
    /// Number of processes on its machine.
    pub local_size: usize,
    /// Who started them: `mpirun` or `srun`.
    pub by: &'static str,
}

impl Launch {
    /// That of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// By the variables of OpenMPI, MPICH (Hydra) and SLURM. A batch script of SLURM is one process, whatever it has asked for:
    /// only steps that `srun` starts are several.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |names: &[&str]| {
            names.iter().find_map(|name| variable(name)?.split(['(', ',']).next()?.trim().parse::<usize>().ok())
        };
        let started = [
            ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
            ("mpirun", "MPI_LOCALNRANKS", "PMI_RANK"), // Hydra's; the size is in PMI_SIZE
            ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
            ("mpirun", "PMI_SIZE", "PMI_RANK"),
        ];
        for (by, size, rank) in started {
            if number(&[size]).is_none() {
                continue;
            }
            let size = if size == "MPI_LOCALNRANKS" { number(&["PMI_SIZE"]) } else { number(&[size]) };
            let (Some(size), Some(rank)) = (size, number(&[rank, "PMIX_RANK"])) else { continue };
            if size > 1 && rank < size {
                let local = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];
                let count = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"];
                let local_size = number(&count).unwrap_or(1).max(1);
                return Self { rank, size, local_rank: number(&local).unwrap_or(0), local_size, by };
            }
        }
        Self { rank: 0, size: 1, local_rank: 0, local_size: 1, by: "" }
    }

    /// Threads of this process: its part of the machine's processors, and no more than it may run on.
    fn threads(self, usable: usize, all: usize) -> usize {
        usable.min((all / self.local_size).max(1))
    }
}

/// Threads that this process computes and decodes with: all processors it may use or, of several processes on a machine, its part.
#[must_use]
pub fn host_threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let usable = std::thread::available_parallelism().map_or(1, usize::from);
        Launch::of_this_process().threads(usable, processors().unwrap_or(usable).max(usable))
    })
}

/// Processors of the machine, whether this process may use them or not.
fn processors() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?; // such as 0-3,8-11
    let span = |span: &str| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        Some(last.trim().parse::<usize>().ok()?.checked_sub(first.trim().parse().ok()?)? + 1)
    };
    text.trim().split(',').map(span).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Launch::of(find)
    }

    #[test]
    fn who_started_the_process_is_known_by_its_environment() {
        let open_mpi = [
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        assert_eq!(launch(&open_mpi), Launch { rank: 3, size: 4, local_rank: 1, local_size: 2, by: "mpirun" });
        let mpich = [("PMI_SIZE", "8"), ("PMI_RANK", "5"), ("MPI_LOCALNRANKS", "4"), ("MPI_LOCALRANKID", "1")];
        assert_eq!(launch(&mpich), Launch { rank: 5, size: 8, local_rank: 1, local_size: 4, by: "mpirun" });
        let slurm = [
            ("SLURM_NTASKS", "16"),
            ("SLURM_STEP_NUM_TASKS", "16"),
            ("SLURM_PROCID", "9"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", "8(x2)"),
        ];
        assert_eq!(launch(&slurm), Launch { rank: 9, size: 16, local_rank: 1, local_size: 8, by: "srun" });
        // The batch script itself, a single process under mpirun, and no launcher.
        for alone in [&[("SLURM_NTASKS", "16"), ("SLURM_PROCID", "0")][..], &[("OMPI_COMM_WORLD_SIZE", "1")], &[]] {
            assert_eq!(launch(alone).size, 1, "{alone:?}");
        }
    }

    #[test]
    fn processes_of_a_machine_divide_its_processors() {
        let of = |local_size| Launch { rank: 0, size: 8, local_rank: 0, local_size, by: "srun" };
        assert_eq!([of(1).threads(16, 16), of(4).threads(16, 16), of(32).threads(16, 16)], [16, 4, 1]);
        assert_eq!(of(4).threads(4, 16), 4, "bound to its own processors");
    }
}
