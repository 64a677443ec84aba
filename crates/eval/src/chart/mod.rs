//! Line, band, bar and dot charts as SVG, without scripts or fonts of their own: labels stand on the curves, units on
//! the axes.
//!
//! [`Chart::finish`] gives an element for an HTML page that has the rules of [`STYLE`] and the colours of [`COLOURS`];
//! [`Chart::document`] a file of its own.

mod axis;
mod document;

use std::fmt::Write;

pub use crate::markup::escape;
pub use axis::{Axis, signed, whole};
pub use document::{COLOURS, STYLE, custom_properties};

/// Margins in units of the drawing. The name of the y axis stands above it, where it reads from left to right.
const LEFT: f64 = 56.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 14.0;
/// Width of a letter of a label at the charts' 13 units, half bold, in a wide font.
const LETTER: f64 = 7.8;
/// Smallest distance between two labels at the ends of their curves.
const LABEL_STEP: f64 = 15.0;

/// Number of a series, which chooses its colour: 1 to 7, 8 for a background of grey, 0 for the colour of the text.
pub type Series = usize;

/// Position of a label.
#[derive(Debug)]
enum Place {
    /// In the right margin, at the height of the curve's end.
    End { y: f64 },
    /// Anywhere in the drawing.
    At { x: f64, y: f64, anchor: &'static str },
}

/// A chart being drawn. Points that are not finite are left out.
#[derive(Debug)]
pub struct Chart {
    width: f64,
    height: f64,
    right: f64,
    x: Axis,
    y: Axis,
    description: String,
    body: String,
    labels: Vec<(String, Series, Place)>,
}

impl Chart {
    /// A chart of 400 x 270 units: two fit side by side on a desktop screen, one fills a phone, with letters of at
    /// least 10 pixels. `description` is read out by screen readers.
    pub fn new(x: Axis, y: Axis, description: impl Into<String>) -> Self {
        Self::sized(400.0, 270.0, x, y, description)
    }

    /// A chart of another size.
    pub fn sized(width: f64, height: f64, x: Axis, y: Axis, description: impl Into<String>) -> Self {
        let (description, body) = (description.into(), String::new());
        Self { width, height, right: RIGHT, x, y, description, body, labels: Vec::new() }
    }

    /// Leaves room in the right margin for these labels. Must be called before anything is drawn.
    #[must_use]
    pub fn with_room_for(mut self, labels: &[&str]) -> Self {
        let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        self.right = RIGHT + LETTER * longest as f64;
        self
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (left, right) = (LEFT, self.width - self.right);
        let (top, bottom) = (TOP, self.height - BOTTOM);
        (left + self.x.share(x) * (right - left), bottom - self.y.share(y) * (bottom - top))
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points.filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let (x, y) = self.at(x, y);
            let _ = write!(path, "{}{x:.2} {y:.2}", if path.is_empty() { "M" } else { " L" });
        }
        path
    }

    /// A line through `points`.
    pub fn curve(&mut self, points: &[(f64, f64)], series: Series) {
        let path = self.path(points.iter().copied());
        let _ = write!(self.body, "<path class=\"line s{series}\" d=\"{path}\"/>");
    }

    /// A line through `points`, each marked by a dot if there are at most 12.
    pub fn line(&mut self, points: &[(f64, f64)], series: Series) {
        self.curve(points, series);
        if points.len() <= 12 {
            points.iter().for_each(|&point| self.dot(point, 3.0, series));
        }
    }

    /// A dashed line to compare with: chance, prevalence, perfect calibration.
    pub fn reference(&mut self, points: &[(f64, f64)]) {
        let path = self.path(points.iter().copied());
        let _ = write!(self.body, "<path class=\"reference\" d=\"{path}\"/>");
    }

    /// The area between two curves, given as `(x, lower, upper)`.
    pub fn band(&mut self, points: &[(f64, f64, f64)], series: Series) {
        let there = points.iter().map(|&(x, lower, _)| (x, lower));
        let back = points.iter().rev().map(|&(x, _, upper)| (x, upper));
        let path = self.path(there.chain(back));
        let _ = write!(self.body, "<path class=\"band s{series}\" d=\"{path}Z\"/>");
    }

    /// Bars from zero to `heights`, each `width` wide, the first beginning at `low`, filled as one outline.
    pub fn bars(&mut self, low: f64, width: f64, heights: &[f64], series: Series) {
        let steps = heights.iter().enumerate().flat_map(|(i, &height)| {
            let left = low + width * i as f64;
            [(left, height), (left + width, height)]
        });
        let ends = low + width * heights.len() as f64;
        let path = self.path(std::iter::once((low, 0.0)).chain(steps).chain([(ends, 0.0)]));
        let _ = write!(self.body, "<path class=\"bars s{series}\" d=\"{path}Z\"/>");
    }

    /// A dot; the radius is in units of the drawing.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, series: Series) {
        if x.is_finite() && y.is_finite() {
            let (x, y) = self.at(x, y);
            let _ =
                write!(self.body, "<circle class=\"dot s{series}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>");
        }
    }

    /// A vertical error bar.
    pub fn interval(&mut self, x: f64, (lower, upper): (f64, f64), series: Series) {
        let ((x, bottom), (_, top)) = (self.at(x, lower), self.at(x, upper));
        let _ = write!(
            self.body,
            "<path class=\"interval s{series}\" d=\"M{x:.1} {bottom:.1}V{top:.1}M{:.1} {bottom:.1}h6M{:.1} {top:.1}h6\"/>",
            x - 3.0,
            x - 3.0
        );
    }

    /// A label in the right margin, at the end of a curve ([`Self::with_room_for`]).
    pub fn end_label(&mut self, text: &str, points: &[(f64, f64)], series: Series) {
        if let Some(&(x, y)) = points.iter().rev().find(|(_, y)| y.is_finite()) {
            let (_, y) = self.at(x, y);
            self.labels.push((text.to_owned(), series, Place::End { y }));
        }
    }

    /// A label at a point of the drawing; `anchor` is `start`, `middle` or `end`.
    pub fn label(&mut self, text: &str, (x, y): (f64, f64), anchor: &'static str, series: Series) {
        let (x, y) = self.at(x, y);
        self.labels.push((text.to_owned(), series, Place::At { x, y, anchor }));
    }

    /// The chart as an `<svg>` element of an HTML page.
    pub fn finish(self) -> String {
        let (width, height, description) = (self.width, self.height, escape(&self.description));
        let content = self.content();
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{description}\">{content}</svg>"
        )
    }

    /// Axes, drawing and labels, in this order from back to front.
    fn content(mut self) -> String {
        self.separate_labels();
        let mut out = self.frame();
        out.push_str(&self.body);
        for (text, series, place) in &self.labels {
            let (x, y, anchor) = match *place {
                Place::End { y } => (self.width - self.right + 6.0, y + 4.0, "start"),
                Place::At { x, y, anchor } => (x, y, anchor),
            };
            let text = escape(text);
            let _ = write!(
                out,
                "<text class=\"name s{series}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
            );
        }
        out
    }

    /// Grid, ticks and the names of both axes.
    fn frame(&self) -> String {
        let (right, bottom) = (self.width - self.right, self.height - BOTTOM);
        let mut out = String::new();
        for (value, text) in &self.y.ticks {
            let (_, y) = self.at(self.x.low, *value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 7.0,
                y + 4.0
            );
        }
        for (value, text) in &self.x.ticks {
            let (x, _) = self.at(*value, self.y.low);
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 18.0
            );
        }
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{right:.1}\"/>\
             <text class=\"axis-name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"axis-name\" x=\"4\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, right),
            self.height - 8.0,
            escape(&self.x.name),
            TOP - 16.0,
            escape(&self.y.name)
        );
        out
    }

    /// Moves labels at the ends of curves apart without changing their order.
    fn separate_labels(&mut self) {
        let mut heights: Vec<&mut f64> = self
            .labels
            .iter_mut()
            .filter_map(|(_, _, place)| if let Place::End { y } = place { Some(y) } else { None })
            .collect();
        heights.sort_by(|a, b| a.total_cmp(b));
        for i in 1..heights.len() {
            *heights[i] = heights[i].max(*heights[i - 1] + LABEL_STEP);
        }
        // Labels pushed below the drawing move up again from its lower edge.
        let mut limit = self.height - BOTTOM;
        for height in heights.into_iter().rev() {
            *height = height.min(limit);
            limit = *height - LABEL_STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart::new(Axis::linear("step", 0.0, 10.0), Axis::linear("loss <nats>", 0.0, 1.0), "loss")
    }

    #[test]
    fn labels_at_the_ends_of_curves_do_not_overlap() {
        let mut chart = chart().with_room_for(&["guessing"]);
        for (name, y) in [("a", 0.5), ("b", 0.5), ("c", 0.49), ("d", 0.0)] {
            chart.end_label(name, &[(10.0, y)], 1);
        }
        chart.separate_labels();
        let mut heights: Vec<f64> =
            chart.labels.iter().map(|l| if let Place::End { y } = l.2 { y } else { f64::NAN }).collect();
        heights.sort_by(f64::total_cmp);
        assert!(heights.windows(2).all(|w| w[1] - w[0] >= LABEL_STEP - 1e-9), "{heights:?}");
        assert!(heights.iter().all(|&y| y <= chart.height - BOTTOM), "{heights:?}");
    }

    #[test]
    fn points_that_are_not_finite_are_left_out_and_text_is_escaped() {
        let mut chart = chart();
        chart.line(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.5)], 1);
        let svg = chart.finish();
        assert!(!svg.contains("NaN") && svg.contains("loss &lt;nats&gt;"), "{svg}");
    }
}
