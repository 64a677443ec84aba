//! An iterator whose items are computed ahead by several threads and returned in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::{Error, Result};

/// An iterator over `make(first), make(first + 1), ..., make(end - 1)`, computed ahead by worker threads.
///
/// At most `ahead` items are finished or under way, counted from the one that the consumer gets next, so that memory
/// stays bounded with a slow consumer. Dropping it stops and joins the threads.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
    end: usize,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Read without the lock, also while an item is made.
    stop: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    /// Next number for a worker.
    claim: usize,
    /// Next number for the consumer.
    deliver: usize,
    ready: BTreeMap<usize, Result<T>>,
}

impl<T> Shared<T> {
    /// Nothing panics while the lock is held, so the state behind a poisoned lock is still valid.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Ordered<T> {
    /// `make` gets an item's number, and a flag that is set when the result is no longer wanted.
    pub(crate) fn new(
        numbers: std::ops::Range<usize>,
        workers: usize,
        ahead: usize,
        make: impl Fn(usize, &AtomicBool) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let state = State { claim: numbers.start, deliver: numbers.start, ready: BTreeMap::new() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stop: AtomicBool::new(false) });
        let make = Arc::new(make);
        let (end, ahead) = (numbers.end, ahead.max(1));
        let spawn = |_| {
            let (shared, make) = (shared.clone(), make.clone());
            std::thread::spawn(move || work(&shared, &*make, end, ahead))
        };
        let workers = (0..workers.max(1).min(numbers.len())).map(spawn).collect();
        Self { shared, workers, end }
    }
}

fn work<T>(shared: &Shared<T>, make: &impl Fn(usize, &AtomicBool) -> Result<T>, end: usize, ahead: usize) {
    loop {
        let mut state = shared.lock();
        while !shared.stop.load(Ordering::Relaxed) && state.claim < end && state.claim >= state.deliver + ahead {
            state = shared.wait(state);
        }
        if shared.stop.load(Ordering::Relaxed) || state.claim >= end {
            return;
        }
        let number = state.claim;
        state.claim += 1;
        drop(state);
        // A panic becomes this item's error; otherwise the consumer would wait for it forever.
        let item = catch_unwind(AssertUnwindSafe(|| make(number, &shared.stop)))
            .unwrap_or_else(|_| Err(Error::WorkerPanic { batch: number }));
        shared.lock().ready.insert(number, item);
        shared.changed.notify_all();
    }
}

impl<T> Iterator for Ordered<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.lock();
        if state.deliver >= self.end {
            return None;
        }
        loop {
            let number = state.deliver;
            if let Some(item) = state.ready.remove(&number) {
                state.deliver += 1;
                drop(state);
                self.shared.changed.notify_all();
                return Some(item);
            }
            state = self.shared.wait(state);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.shared.lock().deliver);
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Ordered<T> {}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        // Under the lock, so that no worker is between checking the flag and waiting.
        let state = self.shared.lock();
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(state);
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its panics, so there is nothing to report.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    #[test]
    fn items_come_in_order_whatever_takes_how_long() {
        let slow = |i: usize, _: &AtomicBool| {
            std::thread::sleep(Duration::from_millis((i * 7 % 5) as u64));
            Ok(i)
        };
        let items: Result<Vec<_>> = Ordered::new(3..40, 4, 6, slow).collect();
        assert!(items.unwrap().into_iter().eq(3..40));
        assert_eq!(Ordered::new(5..5, 4, 6, slow).count(), 0);
    }

    #[test]
    fn an_idle_consumer_stops_the_workers() {
        let started = Arc::new(AtomicUsize::new(0));
        let counter = started.clone();
        let mut items = Ordered::new(0..1000, 4, 3, move |i, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(i)
        });
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(started.load(Ordering::SeqCst), 3);
        items.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(started.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn dropping_ends_all_threads_soon() {
        let running = Arc::new(AtomicUsize::new(0));
        let counter = running.clone();
        let mut items = Ordered::new(0..1000, 8, 20, move |i, stop| {
            counter.fetch_add(1, Ordering::SeqCst);
            while i > 0 && !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            counter.fetch_sub(1, Ordering::SeqCst);
            Ok(i)
        });
        items.next().unwrap().unwrap();
        drop(items);
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn faults_and_panics_come_in_their_place() {
        let mut items = Ordered::new(0..4, 2, 4, |i, _| match i {
            1 => Err(Error::PixelCount { width: 1, height: 1, found: 0 }),
            2 => panic!("planted"),
            _ => Ok(i),
        });
        assert_eq!(items.next().unwrap().unwrap(), 0);
        assert!(matches!(items.next().unwrap(), Err(Error::PixelCount { .. })));
        assert!(matches!(items.next().unwrap(), Err(Error::WorkerPanic { batch: 2 })));
        assert_eq!(items.next().unwrap().unwrap(), 3);
        assert!(items.next().is_none());
    }
}
