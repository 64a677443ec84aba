//! One self-contained HTML page of a run: the loss, the table, the ROC curves. Nothing is fetched.

use std::fmt::Write;

use eval::{Interval, Table};

use crate::{FractionResult, TaskResult};

/// What the page shows.
#[derive(Debug, Default)]
pub struct Report<'a> {
    /// Heading.
    pub title: &'a str,
    /// One paragraph under it, plain text.
    pub summary: &'a str,
    /// Step, loss and the loss of guessing (which grows while a masked queue fills) of the pretraining.
    pub loss: &'a [(u64, f64, f64)],
    /// The table.
    pub results: &'a [FractionResult],
    /// SVG documents of ROC curves.
    pub roc: &'a [String],
}

impl Report<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut sections = String::new();
        if self.loss.len() > 1 {
            let _ = write!(sections, "<section><h2>Pretraining loss</h2>{}</section>", loss_svg(self.loss));
        }
        if !self.results.is_empty() {
            let table = results_table(self.results).to_html();
            let _ = write!(sections, "<section><h2>Linear probe</h2><div class=\"scroll\">{table}</div></section>");
        }
        if !self.roc.is_empty() {
            let figures: String = self.roc.iter().map(|svg| format!("<figure>{svg}</figure>")).collect();
            let _ = write!(sections, "<section><h2>ROC curves</h2><div class=\"grid\">{figures}</div></section>");
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1><p>{summary}</p>{sections}\
             <footer>moco-cxr {version}. Research software, not a medical device.</footer></main></body></html>\n",
            title = escape(self.title),
            summary = escape(self.summary),
            version = env!("CARGO_PKG_VERSION"),
        )
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}\
main{max-width:64rem;margin:auto;padding:1.5rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
table{font-size:.85rem}th,td{padding:.3rem .5rem;text-align:left;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);white-space:nowrap}\
svg{max-width:100%;height:auto}figure{margin:0}\
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem}\
footer{margin-top:3rem;font-size:.85rem;opacity:.7}";

/// The results as a table: one row a fraction and task.
pub fn results_table(results: &[FractionResult]) -> Table {
    let paired = results.iter().flat_map(|r| &r.tasks).any(|t| t.difference.is_some());
    let columns =
        ["labels", "images", "draws", "task", "AUROC (95 % interval)", "random network", "difference, paired"];
    let mut table = Table::new(columns.into_iter().take(if paired { 7 } else { 5 }));
    let cell = |interval: Option<&Interval>| interval.map_or_else(|| "-".to_owned(), ToString::to_string);
    for FractionResult { fraction, images, draws, tasks } in results {
        for TaskResult { task, auroc, baseline, difference } in tasks {
            table.push([
                format!("{} %", fraction * 100.0),
                format!("{images:.0}"),
                draws.to_string(),
                task.clone(),
                auroc.to_string(),
                cell(baseline.as_ref()),
                cell(difference.as_ref()),
            ]);
        }
    }
    table
}

/// Loss and the loss of guessing against steps, averaged over windows so that a few hundred points remain.
fn loss_svg(loss: &[(u64, f64, f64)]) -> String {
    const W: f64 = 720.0;
    const H: f64 = 280.0;
    const M: f64 = 48.0;
    let window = loss.len().div_ceil(300).max(1);
    let points: Vec<[f64; 3]> = loss
        .chunks(window)
        .map(|part| {
            let mean = |f: fn(&(u64, f64, f64)) -> f64| part.iter().map(f).sum::<f64>() / part.len() as f64;
            [mean(|p| p.0 as f64), mean(|p| p.1), mean(|p| p.2)]
        })
        .collect();
    let last = points.last().map_or(1.0, |p| p[0]).max(1.0);
    let top = points.iter().flat_map(|p| [p[1], p[2]]).fold(0.0, f64::max) * 1.05;
    let at = |x: f64, y: f64| (M + x / last * (W - M - 12.0), H - M + 8.0 - y / top * (H - M - 12.0));
    let line = |column: usize| -> String {
        let point = |p: &[f64; 3]| at(p[0], p[column]);
        points.iter().map(point).map(|(x, y)| format!("{x:.1},{y:.1} ")).collect()
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {W} {H}\" role=\"img\" aria-label=\"loss by step\" font-family=\"system-ui,sans-serif\" \
         font-size=\"12\" fill=\"currentColor\">"
    );
    for tick in 0..=4 {
        let (value, step) = (top * f64::from(tick) / 4.0, last * f64::from(tick) / 4.0);
        let ((x0, y), (x1, _), (x, bottom)) = (at(0.0, value), at(last, value), at(step, 0.0));
        let _ = write!(
            out,
            "<path d=\"M{x0} {y}H{x1}\" stroke=\"currentColor\" stroke-opacity=\".15\"/>\
             <text x=\"{tx}\" y=\"{ty}\" text-anchor=\"end\">{value:.1}</text>\
             <text x=\"{x}\" y=\"{by}\" text-anchor=\"middle\">{step:.0}</text>",
            tx = x0 - 6.0,
            ty = y + 4.0,
            by = bottom + 18.0
        );
    }
    let (right, guessing) = at(last, points.last().map_or(0.0, |p| p[2]));
    let _ = write!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#d55e00\" stroke-dasharray=\"5 4\"/>\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\" fill=\"#d55e00\">guessing</text>\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#0072b2\" stroke-width=\"2\"/></svg>",
        line(2),
        guessing - 5.0,
        line(1)
    );
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
