//! `metrics.jsonl`, as it is written and as a resumed run goes on with it.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use moco_core::Position;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    files::{LogLines, RunFolder, log, sealed},
};

/// `metrics.jsonl`: one JSON object a line with a checksum, flushed line by line.
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
    /// Lines that are no JSON objects of a step, or not what was written, with their numbers from 1.
    damaged: Vec<(usize, Vec<u8>)>,
    /// Steps and epochs up to its position that have no line, though the log was on disk before the checkpoint was.
    missing: (u64, u64),
}

impl Kept {
    fn read(path: &Path, position: &Position) -> Result<Self> {
        let bytes = if path.exists() { log(path).map_err(Error::io(path))? } else { Vec::new() };
        let (mut kept, mut steps, mut epochs) = (Self::default(), BTreeSet::new(), BTreeSet::new());
        let (mut beyond, mut cut) = (false, None);
        for line in LogLines::new(&bytes) {
            kept.lines += 1;
            let value = line.value.as_ref().and_then(|value| Some((value["step"].as_u64()?, value)));
            match value {
                Some((step, _)) if step > position.step => beyond = true,
                Some((step, value)) => {
                    kept.wall = value["wall_s"].as_f64().unwrap_or(kept.wall);
                    match value["split"].as_str() {
                        Some("train") => steps.extend(Some(step).filter(|&step| step > 0)),
                        Some("epoch") => epochs.extend(value["epoch"].as_u64().filter(|&at| at < position.epoch)),
                        _ => (),
                    }
                    kept.text.extend_from_slice(line.bytes);
                    kept.text.push(b'\n');
                }
                None if beyond => (),
                None if line.ended => kept.damaged.push((kept.lines, line.bytes.to_vec())),
                None => cut = Some((kept.lines, line.bytes.to_vec())),
            }
        }
        kept.missing = (position.step - steps.len() as u64, position.epoch - epochs.len() as u64);
        // What has no end was being written when the run was killed, after the checkpoint, unless something before it is missing.
        kept.damaged.extend(cut.filter(|_| kept.missing != (0, 0)));
        Ok(kept)
    }

    /// What of the log up to the position cannot be read or is not there; the damaged lines are kept in the file `aside`.
    fn fault(&self, path: &Path, aside: &Path, position: &Position) -> Option<String> {
        let (path, aside) = (path.display(), aside.display());
        let missing = match self.missing {
            (0, 0) => None,
            (steps, 0) => Some(format!("{steps} of {} steps are missing", position.step)),
            (0, epochs) => Some(format!("the summaries of {epochs} of {} epochs are missing", position.epoch)),
            (steps, epochs) => Some(format!(
                "{steps} of {} steps and the summaries of {epochs} of {} epochs are missing",
                position.step, position.epoch
            )),
        };
        match (self.damaged.first(), missing) {
            (None, None) => None,
            (None, Some(missing)) => Some(format!(
                "{path}: {missing} from the log, which ends too early or was changed; the run itself is whole"
            )),
            (Some((first, _)), missing) => {
                let missing = missing.unwrap_or("no step up to the checkpoint is missing".to_owned());
                let (count, lines) = (self.damaged.len(), self.lines);
                Some(format!(
                    "{path}: {count} of {lines} lines cannot be read, the first is line {first}; they were moved to {aside}, and \
                     {missing} from the log; the run itself is whole"
                ))
            }
        }
    }
}

impl MetricsLog {
    /// Opens the log of a run that stands at `position`; what a run that was killed logged beyond it is cut off, since those
    /// steps will be done again. Lines that cannot be read are moved to `metrics.damaged.jsonl`; of them, and of lines that are
    /// not there, the text tells.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(folder: &RunFolder, position: &Position) -> Result<(Self, Option<String>)> {
        let (path, aside) = (folder.join("metrics.jsonl"), folder.join("metrics.damaged.jsonl"));
        let kept = Kept::read(&path, position)?;
        if !kept.damaged.is_empty() {
            let mut file = OpenOptions::new().append(true).create(true).open(&aside).map_err(Error::io(&aside))?;
            let lines: Vec<u8> = kept.damaged.iter().flat_map(|(_, line)| [line, &b"\n"[..]].concat()).collect();
            file.write_all(&lines).and_then(|()| file.sync_all()).map_err(Error::io(&aside))?;
        }
        let fault = kept.fault(&path, &aside, position);
        folder.write("metrics.jsonl", &kept.text)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok((Self { path, file: BufWriter::new(file), start: Instant::now(), before: kept.wall }, fault))
    }

    /// Waits until all lines are on the disk, so that a checkpoint that is written then is never ahead of them.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.get_ref().sync_data().map_err(Error::io(&self.path))
    }

    /// Appends one object: `split`, `wall_s`, the fields of `entry`, and `crc32c`.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn write(&mut self, split: &str, entry: &impl Serialize) -> Result<()> {
        let mut line = json!({ "split": split, "wall_s": self.before + self.start.elapsed().as_secs_f64() });
        if let (Some(line), Ok(Value::Object(entry))) = (line.as_object_mut(), serde_json::to_value(entry)) {
            line.extend(entry);
        }
        writeln!(self.file, "{}", sealed(&line.to_string()))
            .and_then(|()| self.file.flush())
            .map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::Existing;

    const LINES: [&str; 5] = [
        r#"{"split":"train","wall_s":1.0,"step":1}"#,
        r#"{"split":"train","wall_s":2.0,"step":2}"#,
        r#"{"split":"epoch","wall_s":2.5,"epoch":0,"step":2}"#,
        r#"{"split":"train","wall_s":3.0,"step":3}"#,
        r#"{"split":"train","wall_s":4.0,"step":4}"#,
    ];

    /// The log, the lines set aside and the notes after a resume at step 3, in the second epoch.
    fn resumed(bytes: &[u8]) -> (String, Option<Vec<u8>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), "{}").unwrap();
        fs::write(dir.path().join("metrics.jsonl"), bytes).unwrap();
        let folder = RunFolder::open(dir.path(), Existing::Resume).unwrap();
        let position = serde_json::from_value(json!({ "step": 3, "epoch": 1, "batch": 1 })).unwrap();
        let (_, fault) = MetricsLog::open(&folder, &position).unwrap();
        let log = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
        (log, fs::read(dir.path().join("metrics.damaged.jsonl")).ok(), fault.into_iter().collect())
    }

    /// Lines of earlier versions, which have no checksums, and of this one.
    fn logs() -> [Vec<String>; 2] {
        [LINES.map(str::to_owned).into(), LINES.map(sealed).into()]
    }

    fn joined(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_resume_keeps_what_is_before_it() {
        for lines in logs() {
            let whole = joined(&lines);
            for text in [&whole[..], &whole[..whole.len() - 10], &whole[..whole.len() - 1]] {
                let (log, damaged, notes) = resumed(text.as_bytes());
                assert_eq!(log, joined(&lines[..4]));
                assert_eq!((damaged, notes), (None, vec![]));
            }
        }
    }

    /// As a copy that was interrupted leaves it, or a log that was deleted.
    #[test]
    fn steps_and_epochs_that_are_missing_are_counted() {
        for lines in logs() {
            for (kept, missing) in [
                (&lines[..1], "2 of 3 steps and the summaries of 1 of 1 epochs"),
                (&lines[2..4], "2 of 3 steps are"),
                (&[lines[0].clone(), lines[1].clone(), lines[3].clone()], "the summaries of 1 of 1 epochs are"),
                (&[lines[0].clone(), lines[0].clone(), lines[2].clone(), lines[3].clone()], "1 of 3 steps are"),
                (&[], "3 of 3 steps and the summaries of 1 of 1 epochs"),
            ] {
                let (log, damaged, notes) = resumed(joined(kept).as_bytes());
                assert_eq!((log, damaged), (joined(kept), None));
                assert!(
                    notes.len() == 1 && notes[0].contains(missing) && notes[0].contains("metrics.jsonl"),
                    "{notes:?}"
                );
            }
        }
    }

    /// Every line that is cut off belongs to what is before the checkpoint, but the last, which a killed process leaves so.
    #[test]
    fn a_log_that_ends_within_a_line_before_the_checkpoint_is_said_and_the_line_is_kept() {
        for lines in logs() {
            for (at, line) in lines.iter().enumerate() {
                let cut = &line[..line.len() - 3];
                let (log, damaged, notes) = resumed(format!("{}{cut}", joined(&lines[..at])).as_bytes());
                assert_eq!(log, joined(&lines[..at]));
                if at == 4 {
                    assert_eq!((damaged, notes), (None, vec![]));
                    continue;
                }
                assert_eq!(damaged.unwrap(), format!("{cut}\n").as_bytes());
                let said = format!("metrics.jsonl: 1 of {0} lines cannot be read, the first is line {0}", at + 1);
                assert!(notes.len() == 1 && notes[0].contains(&said) && notes[0].contains("missing"), "{notes:?}");
            }
        }
    }

    #[test]
    fn a_damaged_line_is_set_aside_and_the_others_stay() {
        let other_number = sealed(LINES[1]).replace("2.0", "2.5");
        for lines in logs() {
            for bad in [
                &b"{\"split\":\"train\",\"wall_s\":2.0,\"stxp\":2}"[..],
                b"{\"split\":\xff",
                b"",
                b"[1, 2]",
                other_number.as_bytes(),
            ] {
                // With its checksum it would be the first such line of a log of an earlier version.
                if bad == other_number.as_bytes() && lines[0] == LINES[0] {
                    continue;
                }
                let mut bytes: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
                bytes[1] = bad.to_vec();
                let (log, damaged, notes) = resumed(bytes.join(&b'\n').as_slice());
                assert_eq!(log, joined(&[lines[0].clone(), lines[2].clone(), lines[3].clone()]));
                assert_eq!(damaged.unwrap(), [bad, b"\n"].concat());
                let said = ["line 2", "metrics.damaged.jsonl", "1 of 3 steps are missing"];
                assert!(notes.len() == 1 && said.iter().all(|text| notes[0].contains(text)), "{notes:?}");
            }
        }
    }
}
