//! Tables of text, written as Markdown, CSV or HTML.

use crate::markup::escape;

/// A table of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty, cells beyond the last column are dropped.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows, each with one cell per column.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// GitHub-flavoured Markdown, with padded columns so that the source is readable as well.
    pub fn to_markdown(&self) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let lines: Vec<Vec<String>> = std::iter::once(&self.columns)
            .chain(&self.rows)
            .map(|row| row.iter().map(|text| cell(text)).collect())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3))
            .collect();
        let mut out = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (text, width) in line.iter().zip(&widths) {
                out.push_str(&format!("| {text:width$} "));
            }
            out.push_str("|\n");
            if number == 0 {
                widths.iter().for_each(|width| out.push_str(&format!("| {} ", "-".repeat(*width))));
                out.push_str("|\n");
            }
        }
        out
    }

    /// CSV as in RFC 4180, with a header line.
    pub fn to_csv(&self) -> String {
        let line = |row: &Vec<String>| row.iter().map(|text| csv_cell(text)).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&self.columns).chain(&self.rows).map(line).collect()
    }

    /// An HTML `<table>` without style.
    pub fn to_html(&self) -> String {
        let line = |row: &Vec<String>, tag: &str| {
            let cells: String = row.iter().map(|text| format!("<{tag}>{}</{tag}>", escape(text))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let body: String = self.rows.iter().map(|row| line(row, "td")).collect();
        format!("<table>\n<thead>\n{}</thead>\n<tbody>\n{body}</tbody>\n</table>\n", line(&self.columns, "th"))
    }
}

fn csv_cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_in_every_format() {
        let mut table = Table::new(["task", "value"]);
        table.push(["a|b, \"c\"", "<1"]);
        assert_eq!(table.to_markdown(), "| task      | value |\n| --------- | ----- |\n| a\\|b, \"c\" | <1    |\n");
        assert_eq!(table.to_csv(), "task,value\n\"a|b, \"\"c\"\"\",<1\n");
        assert!(table.to_html().contains("<td>a|b, &quot;c&quot;</td><td>&lt;1</td>"));
    }
}
