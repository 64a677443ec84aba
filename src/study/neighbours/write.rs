//! The files of a search for neighbours.

use std::path::Path;

use cxr_data::Record;
use eval::{Table, write_new};
use serde_json::json;

use super::Neighbours;
use crate::{data::recorded, error::Result, files::NewFolder};

impl Neighbours {
    /// Writes into `out`, which must be new or empty: `neighbours.csv` (query, rank from 1, neighbour, similarity, same_patient
    /// (empty if patients are unknown), and for each label column of the data `query_LABEL` and `neighbour_LABEL`: 1, 0, -1 for
    /// uncertain, empty if not mentioned), `sheet.png` (a row for each query, which comes first) and `neighbours.json` (weights
    /// and data). Either everything is written or nothing.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        let manifest = self.bank.manifest();
        let about = json!({
            "moco_cxr": env!("CARGO_PKG_VERSION"),
            "weights": self.network.provenance,
            "trained_on": self.network.lineage,
            "data": self.bank.origin(),
            "queries": self.asked().origin(),
            "patients": if manifest.patients_known { "known" } else { "unknown" },
        });
        let about = serde_json::to_string_pretty(&about).unwrap_or_default();
        write_new(&folder.path().join("neighbours.json"), about.as_bytes())?;
        write_new(&folder.path().join("neighbours.csv"), self.table().to_csv().as_bytes())?;
        write_new(&folder.path().join("sheet.png"), &self.sheet.png()?)?;
        folder.finish()
    }

    fn table(&self) -> Table {
        let (bank, asked) = (self.bank.manifest(), self.asked().manifest());
        let labels = bank.tasks.iter().flat_map(|task| [format!("query_{task}"), format!("neighbour_{task}")]);
        let columns = ["query", "rank", "neighbour", "similarity", "same_patient"].map(String::from);
        let mut table = Table::new(columns.into_iter().chain(labels));
        // Two parts of a set may have other columns of labels, or have them in another order.
        let places: Vec<Option<usize>> =
            bank.tasks.iter().map(|task| asked.tasks.iter().position(|own| own == task)).collect();
        let same = |one: &Record, two: &Record| match bank.patients_known {
            true if one.patient == two.patient => "yes",
            true => "no",
            false => "",
        };
        for (query, list) in &self.found {
            let query = &asked.records[*query];
            for (rank, (row, similarity)) in list.iter().enumerate() {
                let neighbour = &bank.records[*row];
                let labels = places.iter().enumerate().flat_map(|(task, place)| {
                    [place.map_or("", |place| recorded(query, place)), recorded(neighbour, task)]
                });
                let cells = [query.path.clone(), (rank + 1).to_string(), neighbour.path.clone()];
                let rest = [format!("{similarity:.6}"), same(query, neighbour).to_owned()];
                table.push(cells.into_iter().chain(rest).chain(labels.map(str::to_owned)));
            }
        }
        table
    }
}
