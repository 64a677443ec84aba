//! The page around the sections: head, style, contents, tables and figures. No script, nothing fetched.

use std::fmt::Write;

use super::definitions::{self, term};

/// A part of the page. What the run does not hold is said in one line instead of a body.
#[derive(Debug)]
pub(super) struct Section {
    /// Fragment that links lead to.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// How to read it, HTML.
    pub(super) lead: String,
    /// HTML, or what would add it (HTML too).
    pub(super) body: Result<String, String>,
}

/// A number at the head of the page: what, how much, and what belongs to it.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) detail: String,
}

/// The whole document.
pub(super) fn page(title: &str, summary: &str, facts: &[Fact], sections: &[Section]) -> String {
    let mut contents = String::new();
    let mut body = String::new();
    for Section { id, title, lead, body: content } in sections {
        let mark = if content.is_ok() { "" } else { " class=\"absent\"" };
        let _ = write!(contents, "<li{mark}><a href=\"#{id}\">{title}</a></li>");
        let _ = match content {
            Ok(html) => {
                write!(body, "<section id=\"{id}\"><h2>{title}</h2><p class=\"lead\">{lead}</p>{html}</section>")
            }
            Err(missing) => write!(
                body,
                "<section id=\"{id}\" class=\"absent\"><h2>{title}</h2><p class=\"missing\">Not in this run. {missing}</p></section>"
            ),
        };
    }
    let mut tiles = String::new();
    for Fact { name, value, detail } in facts {
        let _ = write!(tiles, "<div><dt>{name}</dt><dd><b>{value}</b><span>{detail}</span></dd></div>");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"{GENERATOR}{version}\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the results</a>\n\
         <header><p class=\"kind\">moco-cxr \u{b7} report of a run</p><h1>{title}</h1><p class=\"summary\">{summary}</p>\
         <dl class=\"facts\">{tiles}</dl></header>\n\
         <nav aria-label=\"Contents\"><ol>{contents}<li><a href=\"#definitions\">Definitions</a></li></ol></nav>\n\
         <main id=\"main\">{body}{definitions}</main>\n\
         <footer><p>Research software, not a medical device: nothing on this page may guide the care of a patient.</p>\
         <p>Made by moco-cxr {version}. The page is complete in itself; it loads nothing.</p></footer>\n</body>\n</html>\n",
        title = escape(title),
        summary = escape(summary),
        version = env!("CARGO_PKG_VERSION"),
        definitions = definitions::section(),
    )
}

/// How the page names its maker; a file that has it is ours and may be replaced.
pub(super) const GENERATOR: &str = "moco-cxr report ";
const STYLE: &str = include_str!("style.css");

/// A figure with its name above and what it shows below, both HTML.
pub(super) fn figure(name: &str, drawing: &str, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p>{note}</p>") };
    format!("<figure><figcaption><h3>{name}</h3>{note}</figcaption>{drawing}</figure>")
}

/// Figures beside each other, as many as the page is wide enough for.
pub(super) fn figures(class: &str, figures: impl IntoIterator<Item = String>) -> String {
    format!("<div class=\"{class}\">{}</div>", figures.into_iter().collect::<String>())
}

/// A table: HTML cells; the first column names its rows.
#[derive(Debug)]
pub(super) struct DataTable {
    caption: String,
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl DataTable {
    /// Under this caption (text).
    pub(super) fn new(caption: &str) -> Self {
        Self { caption: escape(caption), columns: Vec::new(), rows: Vec::new() }
    }

    /// A column of text; its name is HTML.
    pub(super) fn text(mut self, name: &str) -> Self {
        self.columns.push((name.to_owned(), false));
        self
    }

    /// A column of numbers, set to the right.
    pub(super) fn numbers(mut self, name: &str) -> Self {
        self.columns.push((name.to_owned(), true));
        self
    }

    /// A row.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, in a box that scrolls where the page is narrower.
    pub(super) fn to_html(&self) -> String {
        let class = |number: bool| if number { " class=\"n\"" } else { "" };
        let mut out = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
            self.caption
        );
        for (name, number) in &self.columns {
            let _ = write!(out, "<th scope=\"col\"{}>{name}</th>", class(*number));
        }
        out.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            out.push_str("<tr>");
            for (i, (cell, (_, number))) in row.iter().zip(&self.columns).enumerate() {
                let _ = if i == 0 {
                    write!(out, "<th scope=\"row\">{cell}</th>")
                } else {
                    write!(out, "<td{}>{cell}</td>", class(*number))
                };
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>");
        out
    }
}

/// An interval as the page writes it: `0.838 (0.797 to 0.873)` in parts that break between lines and nowhere else.
pub(super) fn interval(interval: &eval::Interval) -> String {
    let number = |x: f64| super::axis::signed(&format!("{x:.3}"));
    let eval::Interval { estimate, lower, upper, .. } = interval;
    format!("<b>{}</b> <span class=\"ci\">({} to {})</span>", number(*estimate), number(*lower), number(*upper))
}

/// A command a person can type.
pub(super) fn command(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// `AUROC` with its definition one hover or one link away, and the level of the intervals beside it.
pub(super) fn auroc_heading() -> String {
    format!("{} ({})", term("AUROC"), term("95 % interval"))
}

/// Text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2) of `#rrggbb`.
    fn luminance(colour: &str) -> f64 {
        let channel = |i: usize| {
            let value = f64::from(u8::from_str_radix(&colour[i..i + 2], 16).expect("a colour")) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_colour_of_text_and_curves_stands_out_in_both_themes() {
        let blocks: Vec<&str> = STYLE.split(":root {").skip(1).take(2).collect();
        assert_eq!(blocks.len(), 2);
        for block in blocks {
            let of = |name: &str| {
                let at = block.find(&format!("--{name}: #")).unwrap_or_else(|| panic!("--{name}"));
                luminance(&block[at + name.len() + 4..][..7])
            };
            for name in ["text", "quiet", "link", "good", "bad", "s1", "s2", "s3", "s4"] {
                for ground in ["ground", "raised"] {
                    let (a, b) = (of(name), of(ground));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= 4.5, "--{name} on --{ground}: {contrast:.2}, WCAG asks for 4.5");
                }
            }
        }
    }

    #[test]
    fn the_first_column_names_the_rows() {
        let mut table = DataTable::new("a < b").text("name").numbers("n");
        table.push(["x".to_owned(), "1".to_owned()]);
        let html = table.to_html();
        assert!(html.contains("<caption>a &lt; b</caption>"), "{html}");
        assert!(html.contains("<th scope=\"col\" class=\"n\">n</th>"), "{html}");
        assert!(html.contains("<tr><th scope=\"row\">x</th><td class=\"n\">1</td></tr>"), "{html}");
    }
}
