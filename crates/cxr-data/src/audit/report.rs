//! The audit as Markdown: faults and warnings, then tables.

use std::fmt;

use super::{AuditReport, Duplicates, LooksAudit, SubsetAudit};
use crate::leak::{NearDuplicate, Unreadable};

/// Entries shown of a list; the serialised report has all.
const SHOWN: usize = 10;

impl AuditReport {
    /// Whether there is no fault: no leak, no unreadable image, no image of two patients.
    pub fn passes(&self) -> bool {
        self.faults().is_empty()
    }

    /// One line per fault: leaks, unreadable images, equal images of different patients.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.leaks.faults();
        for subset in &self.subsets {
            let SubsetAudit { name, unreadable, .. } = subset;
            faults.extend(listed(unreadable, |Unreadable { image, reason }| {
                // The reason has the absolute path; users know the path within the set.
                format!("unreadable: {name} {}: {reason}", image.path)
            }));
            let across: Vec<_> = subset.duplicates.iter().filter(|group| group.across_patients).collect();
            faults.extend(listed(&across, |group| {
                let whose = if subset.patients.is_some() { "different patients" } else { "patients unknown" };
                format!("duplicate: {name}, {whose}, equal pixel for pixel: {}", joined(&group.paths))
            }));
            let failing = subset.looks.iter().filter(|looks| looks.fails);
            faults.extend(failing.map(|looks| format!("looks: {name}, {}", said(looks))));
        }
        faults
    }

    /// One line per warning: repeated exports of one patient, near duplicates, mislabelled files, unknown or rounded patients.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.account.warnings().map(|left| format!("not used: {left}")).collect();
        for subset in &self.subsets {
            let odd = subset.looks.iter().filter(|looks| !looks.fails && !looks.remark.is_note());
            warnings.extend(odd.map(|looks| format!("looks: {}, {}", subset.name, said(looks))));
        }
        warnings.extend(listed(&self.leaks.near_duplicates, near));
        for subset in &self.subsets {
            let repeated: Vec<_> = subset.duplicates.iter().filter(|group| !group.across_patients).collect();
            warnings.extend(listed(&repeated, |Duplicates { paths, .. }| {
                format!("repeated export: {}, one patient, equal pixel for pixel: {}", subset.name, joined(paths))
            }));
            warnings.extend(listed(&subset.near_duplicates, near));
            warnings.extend(listed(&subset.mislabelled, |image| {
                format!("mislabelled: {} {}: its format is not the one of its extension", image.subset, image.path)
            }));
        }
        for subset in &self.subsets {
            warnings.extend(subset.rounded_patients.iter().map(|(rows, first)| {
                format!(
                    "patients: {}, {rows} rows have a patient like {first}, a long number that a spreadsheet rounded: several \
                     patients may have become one; export the column as text",
                    subset.name
                )
            }));
        }
        let unknown = &self.leaks.patients_unknown;
        if !unknown.is_empty() {
            warnings.push(format!("patients: unknown in {}; only images could be compared there", unknown.join(", ")));
        }
        warnings
    }
}

fn near(NearDuplicate { images: [a, b], distance, correlation }: &NearDuplicate) -> String {
    format!(
        "near duplicates: {} {} and {} {} (hash distance {distance} of 63, correlation {correlation:.4})",
        a.subset, a.path, b.subset, b.path
    )
}

/// `3 images of one grey: a.png, b.png, c.png`
fn said(LooksAudit { remark, images, examples, .. }: &LooksAudit) -> String {
    let more = if *images > examples.len() { ", ..." } else { "" };
    format!("{images} {}: {}{more}", remark.words(), examples.join(", "))
}

/// Equal images, the first of them where there are many.
fn joined(paths: &[String]) -> String {
    match paths.len() {
        many if many > SHOWN => format!("{} = ... ({many} in all)", paths[..SHOWN].join(" = ")),
        _ => paths.join(" = "),
    }
}

/// The first entries of a list, and how many more there are.
fn listed<T>(items: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    let mut lines: Vec<String> = items.iter().take(SHOWN).map(line).collect();
    if let (Some(last), true) = (lines.last_mut(), items.len() > SHOWN) {
        last.push_str(&format!(" (and {} more like this)", items.len() - SHOWN));
    }
    lines
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Audit: {}\n", if self.passes() { "passed" } else { "FAILED" })?;
        for (title, lines) in [("Faults", self.faults()), ("Warnings", self.warnings())] {
            if !lines.is_empty() {
                writeln!(f, "## {title}\n")?;
                lines.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
                writeln!(f)?;
            }
        }
        let pairs: Vec<_> = self.leaks.compared.iter().map(|[a, b]| format!("{a} with {b}")).collect();
        if !pairs.is_empty() {
            writeln!(f, "Compared for leaks, patients and images: {}.\n", pairs.join(", "))?;
        }
        let account = &self.account;
        if account.files() > 0 {
            writeln!(f, "## Files\n\n- {} taken as images", account.images)?;
            if !account.tables.is_empty() {
                writeln!(f, "- read: {}", account.tables.join(", "))?;
            }
            account.left_out.iter().try_for_each(|left| writeln!(f, "- left out: {left}"))?;
            writeln!(f)?;
        }
        self.subsets.iter().try_for_each(|subset| write!(f, "{subset}"))
    }
}

impl fmt::Display for SubsetAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{} (data hash {})\n", self.name, self.root, self.hash)?;
        if self.images == 0 {
            writeln!(f, "No images.")?;
            self.notes.iter().try_for_each(|note| writeln!(f, "- note: {note}"))?;
            return writeln!(f);
        }
        let patients = self.patients.map_or("unknown".into(), |patients| patients.to_string());
        writeln!(f, "- images {}, patients {patients}, studies {}", self.images, self.studies)?;
        let composition: Vec<_> = self.composition.iter().map(|(what, count)| format!("{what} {count}")).collect();
        writeln!(f, "- {}", composition.join(", "))?;
        if let Some((low, high)) = self.ages {
            writeln!(f, "- ages {low} to {high} years")?;
        }
        self.looks.iter().try_for_each(|looks| writeln!(f, "- {}", said(looks)))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "- note: {note}"))?;
        let Some(recorded) = self.labels.first() else { return writeln!(f) };

        writeln!(f, "\nLabels as recorded, and as positive / negative / masked under each policy:\n")?;
        for (letter, policy) in ('A'..).zip(&self.labels) {
            writeln!(f, "- {letter}: {} ({} images)", policy.policy, policy.images)?;
        }
        write!(f, "\n| | positive | negative | uncertain | not mentioned |")?;
        ('A'..).zip(&self.labels).try_for_each(|(letter, _)| write!(f, " {letter} |"))?;
        write!(f, "\n|---|--:|--:|--:|--:|")?;
        self.labels.iter().try_for_each(|_| write!(f, "--:|"))?;
        writeln!(f)?;
        for (task, counts) in recorded.tasks.iter().enumerate() {
            let before = counts.before;
            write!(
                f,
                "| {} | {} | {} | {} | {} |",
                counts.task, before.positive, before.negative, before.uncertain, before.not_mentioned
            )?;
            for policy in &self.labels {
                let after = policy.tasks[task].after;
                write!(f, " {} / {} / {} |", after.positive, after.negative, after.masked)?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}
