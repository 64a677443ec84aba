//! What a target does with its bytes: it reads them as a file of a user, and uses what was read. It gives the error that a
//! person would be shown, if there is one, and never panics.
//!
//! `fuzz_targets/` hands over what libFuzzer finds; `tests/fuzz_corpus.rs` of the workspace hands over the files of `corpus/`
//! and simple changes of them, in every run of the tests.

#[cfg(feature = "networks")]
mod networks;
mod plain;
#[cfg(feature = "tool")]
mod tool;

/// Nothing, or the error that a person would be shown.
pub type Outcome = Result<(), String>;

/// What is done with the bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// The target of this name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    let targets = plain::TARGETS.iter();
    #[cfg(feature = "networks")]
    let targets = targets.chain(&networks::TARGETS);
    #[cfg(feature = "tool")]
    let targets = targets.chain(&tool::TARGETS);
    targets.clone().find(|(found, _)| *found == name).expect("a target of this name").1
}
