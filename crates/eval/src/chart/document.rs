//! A chart as an SVG file of its own: with a title, a legend and its style, in light and dark.

use std::fmt::Write;

use super::{BOTTOM, Chart, LEFT, RIGHT, Series, TOP, escape};

/// Rules for the class `chart`. They refer to the colours as custom properties: `var(--text)`.
pub const STYLE: &str = include_str!("style.css");

/// Name, value on light pages and value on dark pages of each colour: the ground, text of three weights, and series 1
/// to 8. Text and curves have a contrast of at least 4.5 to the ground (WCAG 2.2).
pub const COLOURS: [(&str, &str, &str); 12] = [
    ("ground", "#fdfdfb", "#15181b"),
    ("text", "#1c2024", "#e5e7e9"),
    ("quiet", "#575e66", "#a3aab2"),
    ("rule", "#d9dad5", "#343a40"),
    ("s1", "#0b5fa5", "#6fb3f2"),
    ("s2", "#b3470b", "#f0925a"),
    ("s3", "#0f7657", "#5fc9a4"),
    ("s4", "#8d4a7d", "#d79bc8"),
    ("s5", "#7a6200", "#d6bb4f"),
    ("s6", "#a3243b", "#f08a9b"),
    ("s7", "#5a4fb0", "#ada5f2"),
    ("s8", "#8b929a", "#6d757d"),
];

/// Side of the square that a document's axes enclose.
const SIDE: f64 = 360.0;
/// Height of the title above the chart.
const TITLE: f64 = 28.0;
const LEGEND_LINE: f64 = 18.0;

/// [`COLOURS`] as CSS declarations, for the `:root` of a page that uses [`STYLE`].
pub fn custom_properties(dark: bool) -> String {
    COLOURS.iter().map(|(name, light, dim)| format!("--{name}: {}; ", if dark { dim } else { light })).collect()
}

/// [`STYLE`] with the colours written out: many programs that convert SVG know no custom properties.
fn plain_style(dark: bool) -> String {
    let put = |style: String, &(name, light, dim): &(&str, &str, &str)| {
        style.replace(&format!("var(--{name})"), if dark { dim } else { light })
    };
    let rules = ".chart .title { font-size: 14px; font-weight: 600; }\n.chart .ground { fill: var(--ground); }\n";
    COLOURS.iter().fold(format!("{STYLE}{rules}"), put)
}

impl Chart {
    /// A chart for [`Self::document`] whose axes enclose a square.
    pub(crate) fn square(x: super::Axis, y: super::Axis, description: &str) -> Self {
        Self::sized(LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM, x, y, description)
    }

    /// The chart as an SVG file, its description as the title, and a legend with one line a series below. It is
    /// readable on light and dark pages and brings its own style, whose rules apply to charts alone if it is placed in
    /// a page.
    pub fn document(self, legend: &[(&str, Series)]) -> String {
        let (width, bottom, title) = (self.width, self.height, escape(&self.description));
        let height = TITLE + bottom + LEGEND_LINE * legend.len() as f64 + 6.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 -{TITLE} {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n{}@media (prefers-color-scheme: dark) {{\n{}}}\n</style>\n\
             <rect class=\"ground\" y=\"-{TITLE}\" width=\"{width}\" height=\"{height}\"/>\
             <text class=\"title\" x=\"{}\" y=\"-8\" text-anchor=\"middle\">{title}</text>",
            plain_style(false),
            plain_style(true),
            width / 2.0
        );
        out.push_str(&self.content());
        for ((name, series), line) in legend.iter().zip(1_u32..) {
            let y = bottom + LEGEND_LINE * f64::from(line) - 6.0;
            let _ = write!(
                out,
                "<path class=\"line s{series}\" d=\"M{LEFT} {} h20\"/><text x=\"{}\" y=\"{y}\">{}</text>",
                y - 4.0,
                LEFT + 28.0,
                escape(name)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::Axis;
    use super::*;

    #[test]
    fn a_document_brings_its_colours() {
        let mut chart = Chart::square(Axis::unit("x"), Axis::unit("y"), "a title");
        chart.curve(&[(0.0, 0.0), (1.0, 1.0)], 7);
        let svg = chart.document(&[("seventh", 7)]);
        assert!(!svg.contains("var(") && svg.contains("#5a4fb0") && svg.contains("#ada5f2"), "{svg}");
        assert!(svg.contains("a title</text>") && svg.contains("seventh</text>"), "{svg}");
    }
}
