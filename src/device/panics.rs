//! Panics as messages.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, Once, PoisonError},
};

/// Number of watches in progress, and the messages of panics on other threads meanwhile.
static HEARD: Mutex<(usize, Vec<String>)> = Mutex::new((0, Vec::new()));

thread_local! {
    /// Watches of this thread. Its own panics are returned by `quietly` and not recorded for others.
    static WATCHES: Cell<usize> = const { Cell::new(0) };
}

/// Catches a panic and returns its message instead of printing it.
///
/// The device's own thread panics first, with the cause; the panic of this thread is often only its consequence. The message
/// has both, the cause first.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    install();
    let before = {
        let mut heard = lock();
        heard.0 += 1;
        heard.1.len()
    };
    WATCHES.set(WATCHES.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    WATCHES.set(WATCHES.get() - 1);
    let mut heard = lock();
    let cause = heard.1.get(before).cloned();
    heard.0 -= 1;
    if heard.0 == 0 {
        heard.1.clear();
    }
    drop(heard);
    result.map_err(|payload| {
        let own = message(payload.as_ref());
        match cause {
            Some(cause) if cause != own => format!("{cause}; then: {own}"),
            _ => own,
        }
    })
}

/// Installs a panic hook that, during a watch, records panics instead of printing them.
fn install() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHES.get() > 0 {
                return; // `quietly` takes the message from the panic itself
            }
            let mut heard = lock();
            if heard.0 == 0 {
                drop(heard);
                return usual(info);
            }
            heard.1.push(message(info.payload()));
        }));
    });
}

fn lock() -> std::sync::MutexGuard<'static, (usize, Vec<String>)> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // One line, without the struct dumps some drivers add.
    let text = text.unwrap_or_else(|| "no reason given".into());
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>().join(": ")
}
