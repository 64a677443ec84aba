//! `metrics.jsonl`.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    files::{RunFolder, log},
};

/// `metrics.jsonl`: one JSON object a line, flushed line by line.
#[derive(Debug)]
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    start: Instant,
    /// Seconds that earlier parts of the run took.
    before: f64,
}

/// What a resumed run keeps of its log.
#[derive(Default)]
struct Kept {
    /// The lines up to its step.
    text: Vec<u8>,
    /// Seconds at the last of them.
    wall: f64,
    lines: usize,
    /// Lines that are no JSON objects of a step, with their numbers from 1.
    damaged: Vec<(usize, Vec<u8>)>,
    /// Steps that were logged, up to the step; every one has a line.
    steps: u64,
}

impl Kept {
    fn read(path: &Path, step: u64) -> Result<Self> {
        let bytes = log(path).map_err(Error::io(path))?;
        let mut kept = Self::default();
        let mut rest = bytes.as_slice();
        let mut beyond = false;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            kept.lines += 1;
            let value = serde_json::from_slice::<Value>(line).ok();
            match value.as_ref().and_then(|value| value["step"].as_u64().map(|s| (s, value["wall_s"].as_f64()))) {
                Some((s, _)) if s > step => beyond = true,
                Some((_, wall)) => {
                    kept.wall = wall.unwrap_or(kept.wall);
                    kept.steps += u64::from(value.is_some_and(|value| value["split"] == "train"));
                    kept.text.extend_from_slice(line);
                    kept.text.push(b'\n');
                }
                None if beyond => (),
                None => kept.damaged.push((kept.lines, line.to_vec())),
            }
        }
        // What has no end was being written when the run was killed; its step is after the checkpoint.
        Ok(kept)
    }
}

impl MetricsLog {
    /// Opens the log of a run that stands at `step`; what a run that was killed logged beyond it is cut off, since those
    /// steps will be done again. Lines that cannot be read are moved to `metrics.damaged.jsonl`; `note` is told.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(folder: &RunFolder, step: u64, note: &dyn Fn(&str)) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let kept = if path.exists() { Kept::read(&path, step)? } else { Kept::default() };
        if let Some(&(first, _)) = kept.damaged.first() {
            let aside = folder.join("metrics.damaged.jsonl");
            let mut file = OpenOptions::new().append(true).create(true).open(&aside).map_err(Error::io(&aside))?;
            for (_, line) in &kept.damaged {
                file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(Error::io(&aside))?;
            }
            note(&format!(
                "{}: {} of {} lines cannot be read, the first is line {first}; they were moved to {} and their steps are \
                 missing from the log",
                path.display(),
                kept.damaged.len(),
                kept.lines,
                aside.display()
            ));
        }
        let missing = step.saturating_sub(kept.steps + kept.damaged.len() as u64);
        if missing > 0 {
            let path = path.display();
            note(&format!("{path}: {missing} of {step} steps are missing from the log, which was cut off or changed"));
        }
        folder.write("metrics.jsonl", &kept.text)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file: BufWriter::new(file), start: Instant::now(), before: kept.wall })
    }

    /// Appends one object: `split`, `wall_s`, and the fields of `entry`.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn write(&mut self, split: &str, entry: &impl Serialize) -> Result<()> {
        let mut line = json!({ "split": split, "wall_s": self.before + self.start.elapsed().as_secs_f64() });
        if let (Some(line), Ok(Value::Object(entry))) = (line.as_object_mut(), serde_json::to_value(entry)) {
            line.extend(entry);
        }
        writeln!(self.file, "{line}").and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{cell::RefCell, fs};

    use super::*;
    use crate::files::Existing;

    const LINES: [&str; 5] = [
        r#"{"split":"train","wall_s":1.0,"step":1}"#,
        r#"{"split":"train","wall_s":2.0,"step":2}"#,
        r#"{"split":"epoch","wall_s":2.5,"step":2}"#,
        r#"{"split":"train","wall_s":3.0,"step":3}"#,
        r#"{"split":"train","wall_s":4.0,"step":4}"#,
    ];

    /// The log, the lines set aside and the notes after a resume at step 3.
    fn resumed(bytes: &[u8]) -> (String, Option<Vec<u8>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), "{}").unwrap();
        fs::write(dir.path().join("metrics.jsonl"), bytes).unwrap();
        let folder = RunFolder::open(dir.path(), Existing::Resume).unwrap();
        let notes = RefCell::new(Vec::new());
        MetricsLog::open(&folder, 3, &|text| notes.borrow_mut().push(text.to_owned())).unwrap();
        let log = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
        (log, fs::read(dir.path().join("metrics.damaged.jsonl")).ok(), notes.into_inner())
    }

    #[test]
    fn a_resume_keeps_what_is_before_it() {
        let whole = LINES.join("\n") + "\n";
        let cut = &whole[..whole.len() - 10];
        for text in [&whole, cut] {
            let (log, damaged, notes) = resumed(text.as_bytes());
            assert_eq!(log, LINES[..4].join("\n") + "\n");
            assert_eq!((damaged, notes), (None, vec![]));
        }
    }

    /// As a copy that was interrupted leaves it, or a log that was deleted.
    #[test]
    fn steps_that_are_missing_are_counted() {
        for (kept, missing) in [(&LINES[..1], "2 of 3 steps"), (&LINES[2..4], "2 of 3 steps"), (&[], "3 of 3 steps")] {
            let text: String = kept.iter().map(|line| format!("{line}\n")).collect();
            let (log, damaged, notes) = resumed(text.as_bytes());
            assert_eq!((log, damaged), (text, None));
            assert!(notes.len() == 1 && notes[0].contains(missing) && notes[0].contains("metrics.jsonl"), "{notes:?}");
        }
    }

    #[test]
    fn a_damaged_line_is_set_aside_and_the_others_stay() {
        for bad in [&b"{\"split\":\"train\",\"wall_s\":2.0,\"stxp\":2}"[..], b"{\"split\":\xff", b"", b"[1, 2]"] {
            let mut bytes = LINES.map(|line| line.as_bytes().to_vec());
            bytes[1] = bad.to_vec();
            let (log, damaged, notes) = resumed(bytes.join(&b'\n').as_slice());
            assert_eq!(log, [LINES[0], LINES[2], LINES[3], ""].join("\n"));
            assert_eq!(damaged.unwrap(), [bad, b"\n"].concat());
            assert!(
                notes.len() == 1 && notes[0].contains("line 2") && notes[0].contains("metrics.damaged.jsonl"),
                "{notes:?}"
            );
        }
    }
}
