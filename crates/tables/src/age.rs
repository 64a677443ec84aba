//! Ages and years.

use crate::{is_missing, number};

/// What a cell says of an age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Age {
    /// Years, from 0 to 120.
    Years(f32),
    /// A group of ages (`40-50`, `85 or more`, `>89`), which is no age.
    Group,
    /// Nothing recorded.
    Missing,
}

/// Highest age that is believed.
const OLDEST: f64 = 120.0;

/// An age: a number of years, or a number with its unit (`058Y`, `11M`, `64 days`); `None` for a cell that is neither an
/// age nor a group of ages nor blank.
#[must_use]
pub fn age(cell: &str) -> Option<Age> {
    let cell = cell.trim();
    if is_missing(cell) {
        return Some(Age::Missing);
    }
    let lower = cell.to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(lower.len());
    let (count, unit) = lower.split_at(digits);
    if let Some(count) = number(count) {
        let per_year = match unit.trim().trim_end_matches('.') {
            "" | "y" | "yr" | "yrs" | "year" | "years" | "yo" | "y/o" => Some(1.0),
            "m" | "mo" | "mon" | "month" | "months" => Some(12.0),
            "w" | "wk" | "week" | "weeks" => Some(365.25 / 7.0),
            "d" | "day" | "days" => Some(365.25),
            _ => None,
        };
        if let Some(per_year) = per_year {
            let years = count / per_year;
            return (years <= OLDEST).then_some(Age::Years(years as f32));
        }
    }
    is_group(&lower).then_some(Age::Group)
}

/// `40-50`, `40 to 50`, `[40, 50)`, `85+`, `>= 90`, `85 or more`, `under 20`.
fn is_group(cell: &str) -> bool {
    const WORDS: [&str; 16] = [
        "to", "or", "and", "more", "less", "older", "younger", "over", "under", "above", "below", "up", "from",
        "years", "yrs", "y",
    ];
    const SIGNS: &str = "-–+<>=≤≥[](), ";
    let mut numbers = 0;
    let mut signs = 0;
    for token in cell.split_inclusive(|c: char| SIGNS.contains(c)).flat_map(|part| part.split(|c| SIGNS.contains(c))) {
        match token {
            "" => {}
            _ if token.parse::<f64>().is_ok_and(|years| (0.0..=OLDEST).contains(&years)) => numbers += 1,
            _ if WORDS.contains(&token) => signs += 1,
            _ => return false,
        }
    }
    signs += cell.chars().filter(|c| SIGNS.contains(*c) && *c != ' ').count();
    // A minus before the first number is a sign, and no age is negative.
    (1..=2).contains(&numbers) && signs > 0 && !cell.starts_with(['-', '–'])
}

/// The year of a date: `20150417`, `2015-04-17`, `17/04/2015`, `2015`, `January 1, 2020`. `None` where there is no year from
/// 1880 to 2100, or more than one.
#[must_use]
pub fn year(cell: &str) -> Option<i32> {
    let cell = cell.trim().trim_end_matches(".0");
    if cell.len() == 8 && cell.bytes().all(|byte| byte.is_ascii_digit()) {
        return plausible(&cell[..4]);
    }
    let parts = cell.split(|c: char| !c.is_ascii_digit()).filter(|part| part.len() == 4);
    let mut years = parts.filter_map(plausible);
    years.next().filter(|_| years.next().is_none())
}

fn plausible(digits: &str) -> Option<i32> {
    digits.parse().ok().filter(|year| (1880..=2100).contains(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_cell_is_an_age_or_none_is() {
        for (cell, expected) in [
            ("58", Age::Years(58.0)),
            ("058Y", Age::Years(58.0)),
            ("58.0", Age::Years(58.0)),
            ("011M", Age::Years(11.0 / 12.0)),
            ("45yrs", Age::Years(45.0)),
            ("8 yr.", Age::Years(8.0)),
            ("90+", Age::Group),
            ("40-50", Age::Group),
            ("40 to 50", Age::Group),
            ("85 or more", Age::Group),
            (">=90", Age::Group),
            ("[40, 50)", Age::Group),
            ("under 20", Age::Group),
            ("", Age::Missing),
            ("nan", Age::Missing),
        ] {
            assert_eq!(age(cell), Some(expected), "{cell}");
        }
        for other in ["old", "412Y", "40-50-60", "Male", "-5", "58 kg", "1955-03-01"] {
            assert_eq!(age(other), None, "{other}");
        }
    }

    #[test]
    fn years_of_dates() {
        for cell in ["20150417", "2015-04-17", "17/04/2015", "2015", "2015.0", "April 17, 2015", "2015-04-17 08:30"] {
            assert_eq!(year(cell), Some(2015), "{cell}");
        }
        for other in ["", "17", "1700", "2014/2015", "20151", "08:30"] {
            assert_eq!(year(other), None, "{other}");
        }
    }
}
