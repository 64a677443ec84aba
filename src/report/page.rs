//! The page around the sections: head, style, table of contents, tables and figures. It has no script and fetches
//! nothing.

use std::fmt::Write;

use eval::chart::{self, custom_properties, escape, signed};

use super::{
    definitions::{self, term},
    synthetic::Drawn,
};

/// A section of the page.
#[derive(Debug)]
pub(super) struct Section {
    /// Fragment that links point to.
    pub(super) id: &'static str,
    /// Heading.
    pub(super) title: &'static str,
    /// How to read the section, HTML.
    pub(super) lead: String,
    /// HTML; if the run lacks the data, the command that adds them, HTML too.
    pub(super) body: Result<String, String>,
}

/// A number at the head of the page, with its name and a detail.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) detail: String,
}

/// What stands at the head of the page, plain text.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// Title of the document, by which a tab or a bookmark is known.
    pub(super) tab: String,
    /// Heading.
    pub(super) title: &'a str,
    /// One paragraph below it.
    pub(super) summary: &'a str,
}

/// The whole document; `drawn` marks it as one about images that were drawn.
pub(super) fn page(head: &Head<'_>, drawn: Drawn, facts: &[Fact], sections: &[Section]) -> String {
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
         <title>{before}{tab}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the results</a>\n\
         <header>{stamp}<p class=\"kind\">moco-cxr \u{b7} report on a run</p><h1>{title}</h1><p class=\"summary\">{summary}</p>\
         <dl class=\"facts\">{tiles}</dl></header>\n\
         <nav aria-label=\"Contents\"><ol>{contents}<li><a href=\"#definitions\">Definitions</a></li></ol></nav>\n\
         <main id=\"main\">{body}{definitions}</main>\n\
         <footer><p>Research software, not a medical device: do not base the care of a patient on anything on this page.</p>\
         <p>Made by moco-cxr {version}. This page is self-contained and loads nothing.</p></footer>\n</body>\n</html>\n",
        before = drawn.before_title(),
        tab = escape(&head.tab),
        stamp = drawn.stamp(),
        title = escape(head.title),
        summary = escape(head.summary),
        version = env!("CARGO_PKG_VERSION"),
        style = style(),
        definitions = definitions::section(),
    )
}

/// The generator named in the head of the page; a file that contains it is a report and may be replaced.
pub(super) const GENERATOR: &str = "moco-cxr report ";

/// Rules of the page and its charts.
fn style() -> String {
    format!(
        ":root {{ {} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {} }} }}\n{}{}",
        custom_properties(false),
        custom_properties(true),
        chart::STYLE,
        include_str!("style.css")
    )
}

/// A figure with its name and a note above, both HTML.
pub(super) fn figure(name: &str, drawing: &str, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p>{note}</p>") };
    format!("<figure><figcaption><h3>{name}</h3>{note}</figcaption>{drawing}</figure>")
}

/// Figures side by side, as many as fit the width of the page.
pub(super) fn figures(class: &str, figures: impl IntoIterator<Item = String>) -> String {
    format!("<div class=\"{class}\">{}</div>", figures.into_iter().collect::<String>())
}

/// A table of HTML cells; the first column names the rows.
#[derive(Debug)]
pub(super) struct DataTable {
    caption: String,
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl DataTable {
    /// An empty table with this caption, plain text.
    pub(super) fn new(caption: &str) -> Self {
        Self { caption: escape(caption), columns: Vec::new(), rows: Vec::new() }
    }

    /// Adds a column of text; its name is HTML.
    pub(super) fn text(mut self, name: &str) -> Self {
        self.columns.push((name.to_owned(), false));
        self
    }

    /// Adds a column of numbers, aligned right.
    pub(super) fn numbers(mut self, name: &str) -> Self {
        self.columns.push((name.to_owned(), true));
        self
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, in a box that scrolls if the page is narrower.
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

/// An interval as `0.838 (0.797 to 0.873)`, which breaks only between the value and the limits.
pub(super) fn interval(interval: &eval::Interval) -> String {
    let number = |x: f64| signed(&format!("{x:.3}"));
    let (lower, upper) = interval.limits();
    format!("<b>{}</b> <span class=\"ci\">({} to {})</span>", number(interval.estimate), number(lower), number(upper))
}

/// A command to type.
pub(super) fn command(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Heading of a column of AUROCs with intervals, with links to both definitions.
pub(super) fn auroc_heading() -> String {
    format!("{} ({})", term("AUROC"), term("95 % interval"))
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
        let style = style();
        let blocks: Vec<&str> = style.split(":root {").skip(1).collect();
        // Light and dark colours of the charts, then those of the page alone.
        let [light, dark, page_light, page_dark] = blocks[..] else { panic!("{} blocks", blocks.len()) };
        for block in [format!("{light}{page_light}"), format!("{dark}{page_dark}")] {
            let of = |name: &str| {
                let at = block.find(&format!("--{name}: #")).unwrap_or_else(|| panic!("--{name}"));
                luminance(&block[at + name.len() + 4..][..7])
            };
            for name in ["text", "quiet", "link", "good", "bad", "s1", "s2", "s3", "s4", "s5", "s6", "s7"] {
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
