//! Plots on the unit square as self-contained SVG: readable on light and dark pages, no script, no fonts of their own.

mod pr;
mod reliability;
mod roc;

pub use pr::{pr_curve, pr_svg};
pub use reliability::reliability_svg;
pub use roc::{roc_curve, roc_svg};

use std::fmt::Write;

/// One line of a plot: its name in the legend and the rows it is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// Name in the legend, such as `Pleural Effusion 0.838 (0.797, 0.873)`.
    pub name: &'a str,
    /// The truth `[n]`.
    pub labels: &'a [bool],
    /// The scores `[n]`.
    pub scores: &'a [f64],
}

/// Okabe and Ito's colours, told apart by colour-blind readers; black left to the text colour.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b3a000"];
const SIDE: f64 = 360.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 36.0;
const LEGEND_LINE: f64 = 18.0;

/// A square plot with both axes from 0 to 1, growing downwards by one legend line a curve.
struct UnitPlot {
    body: String,
    curves: usize,
}

impl UnitPlot {
    fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let mut body = String::new();
        let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
        let middle = LEFT + SIDE / 2.0;
        text(&mut body, middle, 20.0, "middle", "title", title);
        for tick in 0..=5 {
            let value = f64::from(tick) / 5.0;
            let (x, y) = place((value, value));
            line(&mut body, "grid", (x, TOP), (x, bottom));
            line(&mut body, "grid", (LEFT, y), (right, y));
            text(&mut body, x, bottom + 18.0, "middle", "tick", &format!("{value:.1}"));
            text(&mut body, LEFT - 8.0, y + 4.0, "end", "tick", &format!("{value:.1}"));
        }
        line(&mut body, "axis", (LEFT, bottom), (right, bottom));
        line(&mut body, "axis", (LEFT, TOP), (LEFT, bottom));
        text(&mut body, middle, bottom + 38.0, "middle", "label", x_label);
        let y_middle = TOP + SIDE / 2.0;
        push(
            &mut body,
            format_args!(
                r#"<text class="label" text-anchor="middle" transform="translate(16 {y_middle}) rotate(-90)">{}</text>"#,
                escape(y_label)
            ),
        );
        Self { body, curves: 0 }
    }

    /// A dashed line between two points of the unit square: chance, prevalence, perfect calibration.
    fn reference(&mut self, from: (f64, f64), to: (f64, f64)) {
        line(&mut self.body, "reference", place(from), place(to));
    }

    /// A line through points of the unit square, with its legend entry.
    fn curve(&mut self, name: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for &point in points {
            let (x, y) = place(point);
            let command = if path.is_empty() { 'M' } else { 'L' };
            push(&mut path, format_args!("{command}{x:.2} {y:.2} "));
        }
        let colour = self.legend(name);
        push(&mut self.body, format_args!(r#"<path class="curve" stroke="{colour}" d="{}"/>"#, path.trim_end()));
    }

    /// A dot of this area share (0 to 1) in the colour of the last curve.
    fn dot(&mut self, point: (f64, f64), share: f64) {
        let (x, y) = place(point);
        let radius = 2.0 + 6.0 * share.sqrt();
        let colour = COLOURS[self.curves.saturating_sub(1) % COLOURS.len()];
        push(
            &mut self.body,
            format_args!(r#"<circle cx="{x:.2}" cy="{y:.2}" r="{radius:.2}" fill="{colour}" fill-opacity="0.6"/>"#),
        );
    }

    fn legend(&mut self, name: &str) -> &'static str {
        let colour = COLOURS[self.curves % COLOURS.len()];
        let y = TOP + SIDE + 58.0 + LEGEND_LINE * self.curves as f64;
        push(&mut self.body, format_args!(r#"<path class="curve" stroke="{colour}" d="M{LEFT} {} h20"/>"#, y - 4.0));
        text(&mut self.body, LEFT + 28.0, y, "start", "tick", name);
        self.curves += 1;
        colour
    }

    fn finish(self) -> String {
        let width = LEFT + SIDE + 24.0;
        let height = TOP + SIDE + 58.0 + LEGEND_LINE * self.curves as f64;
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#,
                // Rules name the class, so that a page with this document inside keeps its own style.
                "\n<style>.plot{{color:#1b1f24;background:#fff;font:12px system-ui,sans-serif}}",
                "@media(prefers-color-scheme:dark){{.plot{{color:#e6edf3;background:#0d1117}}}}",
                ".plot text{{fill:currentColor}}.plot .title{{font-size:14px;font-weight:600}}.plot .label{{font-size:13px}}",
                ".plot .grid{{stroke:currentColor;stroke-opacity:.12}}.plot .axis{{stroke:currentColor}}",
                ".plot .reference{{stroke:currentColor;stroke-opacity:.6;stroke-dasharray:4 4}}",
                ".plot .curve{{fill:none;stroke-width:2;stroke-linejoin:round}}</style>\n{body}</svg>\n"
            ),
            width = width,
            height = height,
            body = self.body
        )
    }
}

/// Pixel of a point of the unit square.
fn place((x, y): (f64, f64)) -> (f64, f64) {
    (LEFT + SIDE * x, TOP + SIDE * (1.0 - y))
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    push(
        out,
        format_args!(
            r#"<line class="{class}" x1="{:.2}" y1="{:.2}" x2="{:.2}" y2="{:.2}"/>"#,
            from.0, from.1, to.0, to.1
        ),
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, content: &str) {
    push(
        out,
        format_args!(
            r#"<text class="{class}" x="{x:.2}" y="{y:.2}" text-anchor="{anchor}">{}</text>"#,
            escape(content)
        ),
    );
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(arguments);
    if out.ends_with('>') {
        out.push('\n');
    }
}

/// Text for SVG and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
