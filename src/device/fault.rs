//! Errors from devices that fail. Burn's operations return no `Result`, so a failure is a panic.

use crate::{
    device::{DeviceChoice, panics::quietly},
    error::Error,
};

/// Runs `work` on a device. If the device fails (a lost driver, out of memory), returns an error that says what to do.
///
/// The message of the panic is in the error and not printed. On the CPU nothing is caught: a panic there is a bug of this
/// program, and its backtrace should be seen.
///
/// # Errors
/// The error of `work`, or [`Error::Device`].
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

/// Advice for the user.
fn remedy(text: &str) -> &'static str {
    let text = text.to_lowercase();
    if ["memory", "alloc", "oom"].iter().any(|word| text.contains(word)) {
        "if its memory ran out, use a smaller --batch-size (train.accumulate keeps the effective size) or --image-size; \
         checkpoints written before are kept"
    } else {
        "try --device cpu or another of moco-cxr devices; checkpoints written before are kept"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Backend;

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
    fn the_cause_on_the_devices_own_thread_is_told_first() {
        let text = quietly(|| {
            let _ = std::thread::spawn(|| panic!("the cause")).join();
            panic!("the consequence");
        });
        assert_eq!(text, Err::<(), _>("the cause; then: the consequence".to_owned()));
    }

    /// Devices can be watched from several threads: what one's own thread says never ends up in another's error.
    #[test]
    fn watches_on_several_threads_keep_their_panics_apart() {
        let texts = (0..8).map(|n| std::thread::spawn(move || quietly(|| panic!("fault {n}"))));
        for (n, text) in texts.collect::<Vec<_>>().into_iter().enumerate() {
            let text: Result<(), String> = text.join().expect("the panic was caught");
            assert!(text.as_ref().is_err_and(|text| text.ends_with(&format!("fault {n}"))), "{text:?}");
            let others = (0..8).filter(|other| *other != n);
            assert!(text.is_err_and(|text| others.map(|o| format!("fault {o}")).all(|other| !text.contains(&other))));
        }
    }
}
