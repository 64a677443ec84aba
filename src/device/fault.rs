//! A device that fails: Burn's operations return no `Result`, so it shows as a panic.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, Once, PoisonError},
};

use crate::{DeviceChoice, Error};

/// What the last panic on a watched thread or on one of the device's said, and how many watch.
static WATCH: Mutex<(usize, Option<String>)> = Mutex::new((0, None));

/// Runs work on a device and turns a device that fails (a driver that goes away, memory that runs out) into an error
/// with its remedy.
///
/// The panic's message is kept and not printed. On the CPU nothing is caught: a panic there is a fault of this program,
/// and its place should be seen.
///
/// # Errors
/// What `work` returns, or [`Error::Device`].
pub fn guard<T, E: From<Error>>(
    choice: DeviceChoice,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    if choice.is_cpu() {
        return work();
    }
    quietly(work).unwrap_or_else(|text| {
        let remedy = remedy(&text);
        Err(Error::Device { asked: choice.to_string(), reason: format!("it failed: {text}; {remedy}") }.into())
    })
}

/// What a person can do.
fn remedy(text: &str) -> &'static str {
    let text = text.to_lowercase();
    if ["memory", "alloc", "oom"].iter().any(|word| text.contains(word)) {
        "if its memory ran out, take a smaller --batch-size (train.accumulate keeps the effective size) or --image-size; \
         checkpoints written before are kept"
    } else {
        "try --device cpu or another of moco-cxr devices; checkpoints written before are kept"
    }
}

/// Catches a panic and returns its message, without the usual report.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    install();
    lock().0 += 1;
    let result = catch_unwind(AssertUnwindSafe(work));
    let mut watch = lock();
    watch.0 -= 1;
    let heard = watch.1.take();
    drop(watch);
    // The device's own thread panics first, with the cause; what reaches this thread is often only its consequence.
    result.map_err(|payload| heard.unwrap_or_else(|| message(payload.as_ref())))
}

/// While somebody watches, panics are kept instead of printed; the first is the cause.
fn install() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let mut watch = lock();
            if watch.0 == 0 {
                drop(watch);
                return usual(info);
            }
            let text = message(info.payload());
            watch.1.get_or_insert(text);
        }));
    });
}

fn lock() -> std::sync::MutexGuard<'static, (usize, Option<String>)> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // One line, without the struct dumps some drivers add.
    let text = text.unwrap_or_else(|| "no reason given".into());
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;

    #[test]
    fn a_device_that_panics_is_an_error_with_a_remedy() {
        let choice = DeviceChoice::On(Backend::Wgpu, 0);
        let fault = guard(choice, || -> Result<(), Error> { panic!("can't allocate buffer of size: 12") });
        let text = fault.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("wgpu:0") && text.contains("can't allocate") && text.contains("--batch-size"), "{text}");
        let fault = guard(choice, || -> Result<(), Error> { panic!("device lost") });
        assert!(fault.err().is_some_and(|e| e.to_string().contains("--device cpu")));
        assert!(guard(choice, || Ok::<_, Error>(3)).is_ok_and(|n| n == 3));
    }

    #[test]
    fn the_cause_on_the_devices_own_thread_is_what_is_reported() {
        let text = quietly(|| {
            let _ = std::thread::spawn(|| panic!("the cause")).join();
            panic!("the consequence");
        });
        assert_eq!(text, Err::<(), _>("the cause".to_owned()));
    }
}
