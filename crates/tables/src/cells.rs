//! Cells: missing ones, numbers, identifiers, sexes.

use serde::{Deserialize, Serialize};

/// Sex as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// Whether a cell says that nothing is recorded: blank, or one of the words that programs and people write for that.
#[must_use]
pub fn is_missing(cell: &str) -> bool {
    const WORDS: [&str; 12] =
        ["nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "unknown", "missing", "not recorded", "undefined"];
    let cell = cell.trim();
    cell.is_empty() || matches!(cell, "-" | "--" | "?" | ".") || WORDS.iter().any(|w| cell.eq_ignore_ascii_case(w))
}

/// A finite number. A comma before the decimals is understood where it cannot separate anything else (`0,5`).
#[must_use]
pub fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    // Rust's parser takes "inf" and "nan", which are not finite, and never a comma.
    let parsed = cell.parse::<f64>().ok().or_else(|| {
        let (whole, decimals) = cell.split_once(',')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let sign = whole.trim_start_matches(['-', '+']);
        (digits(sign) && digits(decimals)).then(|| format!("{whole}.{decimals}").parse().ok())?
    });
    parsed.filter(|number| number.is_finite())
}

/// An identifier as it joins rows of several tables: `10000032.0`, as pandas writes whole numbers beside blanks, is
/// `10000032`.
#[must_use]
pub fn id(cell: &str) -> &str {
    let cell = cell.trim();
    match cell.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty()
                && whole.bytes().all(|byte| byte.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        _ => cell,
    }
}

/// Whether an identifier looks like a long number that a spreadsheet rounded (`9.00001E+37`), so that several may have
/// become one.
#[must_use]
pub fn looks_rounded(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let power = exponent.strip_prefix('+').unwrap_or_default();
    let (whole, decimals) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(power) && digits(whole) && digits(decimals)
}

/// A sex in any usual spelling, those of typed readings included (`femal`). `h` is none: it stands for hombre, homme and hembra.
/// `Some(None)` where none is recorded, `None`
/// where the cell is something else.
#[must_use]
pub fn sex(cell: &str) -> Option<Option<Sex>> {
    match cell.trim().to_lowercase().as_str() {
        "m" | "male" | "man" | "mal" | "männlich" | "mann" | "homme" | "hombre" | "uomo" | "masculin" | "masculino"
        | "maschio" => Some(Some(Sex::Male)),
        "f" | "female" | "femal" | "famale" | "woman" | "w" | "weiblich" | "frau" | "femme" | "mujer" | "donna"
        | "féminin" | "femenino" | "feminino" | "femmina" => Some(Some(Sex::Female)),
        "o" | "u" | "other" => Some(None),
        other => is_missing(other).then_some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_whole_cell() {
        assert_eq!(number(" 0.25 "), Some(0.25));
        assert_eq!(number("0,25"), Some(0.25));
        assert_eq!(number("-1,5"), Some(-1.5));
        assert_eq!(number("1e-3"), Some(0.001));
        for other in ["", "nan", "inf", "1,234,567", "40-50", "12 px", "0,2.5", ","] {
            assert_eq!(number(other), None, "{other:?}");
        }
    }

    #[test]
    fn identifiers_and_rounded_numbers() {
        assert_eq!((id("10000032.0"), id("1.5"), id("p.0"), id(" s1 ")), ("10000032", "1.5", "p.0", "s1"));
        for rounded in ["9.00001E+37", "1e+12", "2,16840E+41"] {
            assert!(looks_rounded(rounded), "{rounded}");
        }
        for other in ["patient1", "E12", "1e5", "900001", "9.1", "1E-5", ""] {
            assert!(!looks_rounded(other), "{other}");
        }
    }

    #[test]
    fn sexes_and_missing_words() {
        assert_eq!(
            (sex("F"), sex("male"), sex("Unknown"), sex("")),
            (Some(Some(Sex::Female)), Some(Some(Sex::Male)), Some(None), Some(None))
        );
        assert_eq!((sex("2"), sex("frontal")), (None, None));
        assert_eq!((sex("Mujer"), sex("homme ")), (Some(Some(Sex::Female)), Some(Some(Sex::Male))));
        assert!(is_missing("NaN") && is_missing(" ") && is_missing("#N/A") && is_missing("-"));
        assert!(!is_missing("0") && !is_missing("no") && !is_missing("-1"));
    }
}
