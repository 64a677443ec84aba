//! Progress reporting.

use ndarray::Array3;

/// Receives notes, lines and progress of running work. Every method does nothing by default. `()` ignores everything; a
/// closure that takes `&str` receives notes and lines.
pub trait Watch {
    /// A note that the user should read, such as a skipped image or a check that was not possible.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// A line about finished work, such as an epoch or a draw.
    fn line(&self, text: &str) {
        let _ = text;
    }

    /// Progress of the current pass or training: `done` of `total`. A pass starts at 0 and ends at `total`.
    fn progress(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// The work goes on, though there is nothing to tell, as after each of many regressions.
    fn alive(&self) {}
}

impl Watch for () {}

impl<F: Fn(&str)> Watch for F {
    fn note(&self, text: &str) {
        self(text);
    }

    fn line(&self, text: &str) {
        self(text);
    }
}

/// Passes batches through and reports progress over `total` images.
pub(crate) fn over<T, E>(
    watch: &dyn Watch,
    total: usize,
    mut batches: impl Iterator<Item = std::result::Result<(Array3<u8>, T), E>>,
) -> impl Iterator<Item = std::result::Result<(Array3<u8>, T), E>> {
    let mut done = 0;
    std::iter::from_fn(move || {
        watch.progress(done, total as u64);
        let batch = batches.next();
        match &batch {
            Some(Ok((images, _))) => done += images.dim().0 as u64,
            Some(Err(_)) => {}
            // An incomplete last batch may have been dropped.
            None => watch.progress(total as u64, total as u64),
        }
        batch
    })
}

/// Passes notes on and keeps a copy of them.
pub(crate) struct Notes<'a> {
    watch: &'a dyn Watch,
    texts: std::cell::RefCell<Vec<String>>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(watch: &'a dyn Watch) -> Self {
        Self { watch, texts: std::cell::RefCell::default() }
    }

    /// The notes so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.borrow().clone()
    }
}

impl Watch for Notes<'_> {
    fn note(&self, text: &str) {
        self.watch.note(text);
        self.texts.borrow_mut().push(text.to_owned());
    }

    fn line(&self, text: &str) {
        self.watch.line(text);
    }

    fn progress(&self, done: u64, total: u64) {
        self.watch.progress(done, total);
    }

    fn alive(&self) {
        self.watch.alive();
    }
}

/// Passes every distinct note on once: one folder may be read for several parts.
pub(crate) struct Once<'a> {
    watch: &'a dyn Watch,
    said: std::cell::RefCell<std::collections::HashSet<String>>,
}

impl<'a> Once<'a> {
    pub(crate) fn new(watch: &'a dyn Watch) -> Self {
        Self { watch, said: std::cell::RefCell::default() }
    }
}

impl Watch for Once<'_> {
    fn note(&self, text: &str) {
        if self.said.borrow_mut().insert(text.to_owned()) {
            self.watch.note(text);
        }
    }

    fn line(&self, text: &str) {
        self.watch.line(text);
    }

    fn progress(&self, done: u64, total: u64) {
        self.watch.progress(done, total);
    }

    fn alive(&self) {
        self.watch.alive();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Told(RefCell<Vec<(u64, u64)>>);

    impl Watch for Told {
        fn progress(&self, done: u64, total: u64) {
            self.0.borrow_mut().push((done, total));
        }
    }

    #[test]
    fn a_pass_starts_at_zero_and_ends_at_the_total() {
        let told = Told::default();
        let batches = [3, 3].map(|images| Ok::<_, ()>((Array3::zeros((images, 1, 1)), ())));
        assert_eq!(over(&told, 7, batches.into_iter()).count(), 2, "the batches themselves");
        assert_eq!(*told.0.borrow(), [(0, 7), (3, 7), (6, 7), (7, 7)]);
    }

    #[test]
    fn a_note_is_said_once_and_kept() {
        let said = RefCell::new(Vec::new());
        let closure = |text: &str| said.borrow_mut().push(text.to_owned());
        let notes = Notes::new(&closure);
        let once = Once::new(&notes);
        ["a", "b", "a"].iter().for_each(|text| once.note(text));
        assert_eq!(*said.borrow(), ["a", "b"]);
        assert_eq!(notes.texts(), ["a", "b"]);
    }
}
