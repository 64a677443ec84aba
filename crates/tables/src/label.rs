//! Labels of findings.

use serde::{Deserialize, Serialize};

use crate::{is_missing, number};

/// A label as recorded. A label policy decides how uncertain and unmentioned labels are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Label {
    /// The finding is present (`1.0`).
    Positive,
    /// The finding is explicitly absent (`0.0`).
    Negative,
    /// The report is uncertain (`-1.0`).
    Uncertain,
    /// The report does not mention the finding (a blank cell).
    NotMentioned,
}

/// A label: 1, 0, -1, or blank, in any spelling of the number, or the words for these; `None` for anything else.
#[must_use]
pub fn label(cell: &str) -> Option<Label> {
    if is_missing(cell) {
        return Some(Label::NotMentioned);
    }
    if let Some(number) = number(cell) {
        return match number {
            1.0 => Some(Label::Positive),
            0.0 => Some(Label::Negative),
            -1.0 => Some(Label::Uncertain),
            _ => None,
        };
    }
    match cell.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "positive" | "pos" | "present" | "ja" | "j" | "oui" | "si" | "s" | "sí" | "sì"
        | "sim" | "wahr" | "vrai" | "verdadero" | "verdadeiro" | "vero" | "positiv" | "positif" | "positivo" => {
            Some(Label::Positive)
        }
        "false" | "no" | "n" | "negative" | "neg" | "absent" | "nein" | "nee" | "non" | "não" | "falsch" | "faux"
        | "falso" | "negativ" | "négatif" | "negativo" => Some(Label::Negative),
        "uncertain" | "fraglich" | "unklar" | "unsicher" | "incertain" | "dudoso" | "incierto" | "incerto" => {
            Some(Label::Uncertain)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_states_and_nothing_else() {
        for (cell, expected) in [
            ("1", Label::Positive),
            ("1.0", Label::Positive),
            ("TRUE", Label::Positive),
            ("Y", Label::Positive),
            ("neg", Label::Negative),
            ("0", Label::Negative),
            ("0,0", Label::Negative),
            ("no", Label::Negative),
            ("Ja", Label::Positive),
            ("nein", Label::Negative),
            ("SÍ", Label::Positive),
            ("WAHR", Label::Positive),
            ("falsch", Label::Negative),
            ("negativ", Label::Negative),
            ("fraglich", Label::Uncertain),
            ("-1.0", Label::Uncertain),
            ("", Label::NotMentioned),
            ("nan", Label::NotMentioned),
        ] {
            assert_eq!(label(cell), Some(expected), "{cell}");
        }
        for other in ["2", "0.5", "31", "1;0", "effusion", "10"] {
            assert_eq!(label(other), None, "{other}");
        }
    }
}
