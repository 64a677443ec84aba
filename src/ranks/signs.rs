//! Signs of life of ranks that work apart, and how a rank that hangs is noticed.

use std::{
    cell::RefCell,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    error::{Error, Result},
    files::{Watch, text_of},
    ranks::Ranks,
};

/// Signs in the time after which a rank without any is given up, and the longest time between two.
const SIGNS: u32 = 20;
const EVERY: Duration = Duration::from_secs(20);

/// How often it is said who is waited for.
const TELL: Duration = Duration::from_secs(60);

/// Passes on what a rank says of its work, and leaves a sign of life where all ranks see it whenever the work goes on, as at every
/// batch: what it does, in a file `FOLDER/ranks/RUN/RANK`. The lowest rank that is alive ends all when another has left none for
/// as long as [`moco_core::Collective::deadline`] says.
///
/// Files and not messages of MPI, because ranks that work apart have nothing to receive them, and because all see the folder
/// anyway; in a folder for each run, because several may write to one place. Only that a file changes counts, by the clock of who
/// looks at it.
pub(crate) struct Signs<'a> {
    ranks: &'a Ranks,
    watch: &'a dyn Watch,
    folder: PathBuf,
    every: Duration,
    state: RefCell<State>,
}

struct State {
    /// What this rank does: what it last said, and how far the pass over images is.
    said: String,
    pass: Option<(u64, u64)>,
    /// Signs that were left.
    left: u64,
    looked: Instant,
    told: Instant,
    others: Vec<Other>,
}

/// What is known of a rank: its last sign, and for how long there has been no other.
#[derive(Clone, Default)]
struct Other {
    sign: String,
    silent: Duration,
}

impl<'a> Signs<'a> {
    /// Leaves the first sign of this rank beside what the ranks write in `folder`. All must call it at about the same time.
    ///
    /// # Errors
    /// A folder that cannot be made or written to, or a rank that is gone.
    pub(crate) fn begin(folder: &Path, ranks: &'a Ranks, watch: &'a dyn Watch) -> Result<Self> {
        let folder = folder.join("ranks").join(ranks.text_of_first(this_run(), "the folder of signs of life")?);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let now = Instant::now();
        let others = vec![Other::default(); ranks.size()];
        let state = State { said: "it begins".into(), pass: None, left: 0, looked: now, told: now, others };
        let every = EVERY.min(ranks.together().deadline() / SIGNS);
        let signs = Self { ranks, watch, folder, every, state: RefCell::new(state) };
        let own = signs.file(ranks.rank());
        signs.leave().map_err(Error::io(&own))?;
        Ok(signs)
    }

    /// Waits for all ranks, however long they take while they are alive, and says whom it waits for. Then the signs are
    /// removed; there must be none after it.
    ///
    /// # Errors
    /// A rank that has ended or was given up.
    pub(crate) fn meet(&self, what: &'static str) -> Result<()> {
        {
            let mut state = self.state.borrow_mut();
            (state.said, state.pass, state.told) = (DONE.into(), None, Instant::now());
        }
        let _ = self.leave(); // soon again
        let meanwhile = &mut || {
            self.beat();
            self.tell();
        };
        self.ranks.together().meet(what, meanwhile)?;
        // From here on none leaves a sign, which would hinder who removes the folder.
        self.ranks.together().barrier(what, false)?;
        if self.ranks.is_first() {
            // That it stays would do no harm.
            let _ = fs::remove_dir_all(&self.folder);
            // Fails where another run has its signs.
            let _ = self.folder.parent().map(fs::remove_dir);
        }
        Ok(())
    }

    /// Leaves a sign and looks for those of the others, if it is time.
    fn beat(&self) {
        let since = {
            let mut state = self.state.borrow_mut();
            let since = state.looked.elapsed();
            if since < self.every {
                return;
            }
            state.looked = Instant::now();
            since
        };
        // If that fails as often as to matter, the others give this rank up.
        let _ = self.leave();
        // Who did not look for long, because it was stopped itself, does not know how long the others were silent.
        if let Some(reason) = self.look(since.min(self.every * 3)) {
            self.ranks.together().abort(&reason);
        }
    }

    fn leave(&self) -> std::io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.left += 1;
        let place = state.pass.map(|(done, total)| format!(", then image {done} of {total}")).unwrap_or_default();
        let (file, sign) = (self.file(self.ranks.rank()), format!("{}\n{}{place}", state.left, state.said));
        match fs::write(&file, &sign) {
            // Someone has tidied up.
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                fs::write(file, sign)
            }
            written => written,
        }
    }

    /// Looks for new signs; why all are to be ended, if a rank was silent for too long and it is on this rank to say so.
    fn look(&self, since: Duration) -> Option<String> {
        let (own, deadline) = (self.ranks.rank(), self.ranks.together().deadline());
        let others = &mut self.state.borrow_mut().others;
        for (rank, other) in others.iter_mut().enumerate().filter(|(rank, _)| *rank != own) {
            let sign = text_of(&self.file(rank)).unwrap_or_default();
            *other = match sign == other.sign {
                true => Other { silent: other.silent + since, sign },
                false => Other { sign, silent: Duration::ZERO },
            };
        }
        let late = |rank: &usize| *rank != own && others[*rank].silent >= deadline;
        let late: Vec<usize> = (0..others.len()).filter(late).collect();
        let first = *late.first()?;
        // Not all at once.
        if !(0..own).all(|rank| late.contains(&rank)) {
            return None;
        }
        Some(format!(
            "{} without a sign of life for {}, the last: {}. A rank hangs, or cannot write to {}. The run ends here, and the same \
             command goes on from what is finished; --rank-timeout sets how long is waited",
            named(&late),
            humantime::format_duration(deadline),
            others[first].doing(),
            self.folder.display(),
        ))
    }

    /// Says whom the first rank waits for, if it is time.
    fn tell(&self) {
        let text = {
            let mut state = self.state.borrow_mut();
            if !self.ranks.is_first() || state.told.elapsed() < TELL {
                return;
            }
            state.told = Instant::now();
            let busy = |(_, other): &(usize, &Other)| other.doing() != DONE;
            let busy: Vec<(usize, &Other)> = state.others.iter().enumerate().skip(1).filter(busy).collect();
            let Some((_, first)) = busy.first() else { return };
            let ranks: Vec<usize> = busy.iter().map(|(rank, _)| *rank).collect();
            let ago = first.silent.as_secs();
            format!("waiting for {}; the first of them, {ago} s ago: {}", named(&ranks), first.doing())
        };
        self.watch.note(&text);
    }

    fn file(&self, rank: usize) -> PathBuf {
        self.folder.join(rank.to_string())
    }

    fn said(&self, text: &str) {
        let mut state = self.state.borrow_mut();
        (state.said, state.pass) = (text.to_owned(), None);
    }
}

/// A name that no other run has.
fn this_run() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), since.as_nanos())
}

/// What a rank does that waits for the others.
const DONE: &str = "its part is done";

impl Other {
    /// What the rank did when it left its last sign.
    fn doing(&self) -> &str {
        self.sign.split_once('\n').map_or("none", |(_, doing)| doing)
    }
}

fn named(ranks: &[usize]) -> String {
    let numbers: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

impl Watch for Signs<'_> {
    fn note(&self, text: &str) {
        self.watch.note(text);
        self.said(text);
        self.beat();
    }

    fn line(&self, text: &str) {
        self.watch.line(text);
        self.said(text);
        self.beat();
    }

    fn progress(&self, done: u64, total: u64) {
        self.watch.progress(done, total);
        self.state.borrow_mut().pass = Some((done, total));
        self.beat();
    }

    fn alive(&self) {
        self.watch.alive();
        self.beat();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::Arc, thread, thread::sleep};

    use moco_core::LocalGroup;

    use super::*;

    /// Two ranks that work and then meet; what becomes of them. A rank is waited for for a second.
    fn after(work: [&(dyn Fn(&Signs<'_>) + Sync); 2]) -> Vec<std::result::Result<(), String>> {
        let folder = tempfile::tempdir().unwrap();
        let rank = |member: LocalGroup| {
            let ranks = Ranks::member(Arc::new(member));
            let signs = Signs::begin(folder.path(), &ranks, &()).unwrap();
            work[ranks.rank()](&signs);
            signs.meet("the test").map_err(|fault| fault.to_string())
        };
        thread::scope(|scope| {
            let members = LocalGroup::with_deadline(2, Duration::from_secs(1));
            let threads: Vec<_> = members.into_iter().map(|member| scope.spawn(|| rank(member))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn rest(milliseconds: u64) {
        sleep(Duration::from_millis(milliseconds));
    }

    #[test]
    fn a_rank_is_waited_for_as_long_as_it_gives_signs_of_life() {
        let slow = |signs: &Signs<'_>| {
            for done in 0..25 {
                rest(100);
                signs.progress(done, 25);
            }
        };
        assert_eq!(after([&|_| {}, &slow]), [Ok(()), Ok(())]);
        assert_eq!(after([&slow, &|_| {}]), [Ok(()), Ok(())]);
    }

    #[test]
    fn a_rank_without_a_sign_of_life_ends_all_and_is_named_with_what_it_did() {
        let hangs = |signs: &Signs<'_>| {
            signs.line("fraction 1, epoch 2");
            rest(100);
            signs.progress(32, 96);
            rest(3500);
        };
        for rank in [0, 1] {
            let found = after(if rank == 0 { [&hangs, &|_| {}] } else { [&|_| {}, &hangs] });
            let reason = format!(
                "rank {rank} without a sign of life for 1s, the last: fraction 1, epoch 2, then image 32 of 96. A rank hangs"
            );
            assert!(found.iter().all(|end| end.as_ref().unwrap_err().contains(&reason)), "{found:?}");
        }
    }

    #[test]
    fn runs_in_one_folder_have_signs_of_their_own_and_remove_only_those() {
        let (folder, ranks) = (tempfile::tempdir().unwrap(), Ranks::alone());
        let [one, other] = [(), ()].map(|()| Signs::begin(folder.path(), &ranks, &()).unwrap());
        one.meet("the test").unwrap();
        assert!(!one.folder.exists() && other.file(0).is_file());
        fs::remove_dir_all(folder.path().join("ranks")).unwrap();
        other.leave().unwrap();
        assert!(other.file(0).is_file(), "a sign is left in a folder that was removed");
        other.meet("the test").unwrap();
        assert!(!folder.path().join("ranks").exists());
    }

    #[test]
    fn the_silence_of_others_does_not_count_while_a_rank_is_stopped_itself() {
        // As by SIGSTOP to all, or a job that is suspended: the first goes on a little earlier than the second.
        let first = |signs: &Signs<'_>| {
            rest(50);
            signs.note("seen");
            rest(1500);
            signs.note("looks again");
        };
        assert_eq!(after([&first, &|_| rest(1700)]), [Ok(()), Ok(())]);
    }
}
