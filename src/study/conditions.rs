//! The conditions under which results were computed.

use eval::Stamp;

use crate::{
    data::{DrawRule, Labels, Parts, Pretraining},
    study::{Method, Protocol},
};

/// Parts, labels and protocol of a study. With the method, they decide whether two results may be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) labels: &'a Labels,
    pub(crate) protocol: &'a Protocol,
}

impl Conditions<'_> {
    /// The stamp of results by this method; `pretraining` is `None` if the weights are not known yet.
    pub(crate) fn stamp(self, method: Method<'_>, pretraining: Option<Pretraining>) -> Stamp {
        let draws = match self.protocol.draw_rule {
            DrawRule::Patients => "",
            DrawRule::Paper => ", the paper's label draws",
        };
        let split = format!("{}{draws}", self.parts.split());
        let mut stamp = Stamp::new(self.labels.policy.to_string(), split, method.to_string());
        stamp.rows = Some(self.labels.rows().to_owned());
        stamp.patients = Some(self.parts.patients());
        stamp.pretraining = pretraining.map(|found| found.to_string());
        stamp
    }
}
