//! The flags that `linear`, `knn` and `finetune` share: weights, labelled data in parts, statistics.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    DeviceChoice, Labels, Protocol, Sources, Study, ValidFrom,
    data::DrawRule,
    files::Claim,
    ranks::Ranks,
    study::{Outcome, Statistics},
};

use super::{
    bad_argument::OrBadArgument,
    device::DeviceArguments,
    features::FeatureCacheArguments,
    labels::LabelArguments,
    new_name::new_name,
    output::{OutputArguments, print_json},
    ranks::as_rank,
    reading::ReadingArguments,
    seed::SeedArguments,
    source::{BadImageArguments, SourceArguments},
    weights::WeightsArguments,
};
use crate::{
    Fault,
    terminal::{
        print::{out, outln},
        watch::Terminal,
    },
};

#[derive(Debug, Args)]
pub(crate) struct StudyArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Folder whose valid part is used to choose a penalty or a checkpoint; nothing is reported on it.
    #[arg(long, value_name = "DIR")]
    pub(crate) valid_data: Option<PathBuf>,
    /// Folder whose test (or valid) part is reported on. [default: that of --data]
    #[arg(long, value_name = "DIR")]
    test_data: Option<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    #[command(flatten)]
    labels: LabelArguments,
    /// Fraction of the training patients whose labels are used; may be repeated.
    #[arg(long = "fraction", value_name = "F", default_values_t = [1.0])]
    fractions: Vec<f64>,
    /// Label draws of each fraction below 1.
    #[arg(long, default_value_t = 5)]
    draws: usize,
    /// How labels are drawn: patients (whole patients), or paper (image by image; the paper's own draws of CheXpert's
    /// train.csv, and its rules for Shenzhen).
    #[arg(long, value_name = "RULE", default_value_t)]
    label_draws: DrawRule,
    /// Folder of the images that the weights were trained on, for the pretraining-overlap check, where weights that were copied
    /// from another run or machine do not know it.
    #[arg(long, value_name = "DIR")]
    pretraining_data: Option<PathBuf>,
    /// Continue without the pretraining-overlap check; results are marked unchecked.
    #[arg(long)]
    unchecked_pretraining: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    #[command(flatten)]
    features: FeatureCacheArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    bad_image: BadImageArguments,
    /// New or empty folder for predictions, results and curves; it appears whole or not at all.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Whether another rank writes the results.
    #[arg(skip)]
    is_written_elsewhere: bool,
}

impl StudyArguments {
    /// As one of several ranks.
    pub(crate) fn as_rank(&mut self, ranks: &Ranks) {
        as_rank(ranks, DeviceChoice::Auto, &mut self.device, &mut self.output);
        self.is_written_elsewhere = !ranks.is_first();
    }

    /// Runs a command so that a failing device ends it with an error.
    pub(crate) fn guarded(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        self.device.guarded(self.output.quiet(), work)
    }

    /// Takes the folder of the results for this process, and opens weights and data together, which checks them; `valid` where rows to choose on are needed and none were named,
    /// `batch_size` where images are only scored, `statistics` where features are taken.
    pub(crate) fn open<'w>(
        &self,
        valid: ValidFrom,
        batch_size: Option<usize>,
        statistics: Statistics,
        watch: &'w Terminal,
    ) -> Result<(Option<Claim>, Study<'w>), Fault> {
        let labels = self.labels();
        let mut protocol = self.protocol();
        protocol.statistics = statistics;
        labels.validate().or_bad_argument()?;
        protocol.validate().or_bad_argument()?;
        let mut sources = Sources::new(self.source.dir());
        sources.valid = self.valid_data.clone().map_or(valid, ValidFrom::Folder);
        sources.test = self.test_data.clone();
        sources.dataset = self.source.dataset();
        sources.on_bad = self.bad_image.on_bad();
        sources.patient_regex = self.source.patient_regex();
        sources.read = self.source.read_as(&self.labels.tasks);
        self.reading.apply(&mut sources, batch_size)?;
        self.weights.check()?;
        let claim = Some(&self.out).filter(|_| !self.is_written_elsewhere);
        let claim = claim.map(|out| Claim::folder(out)).transpose()?;
        let device = self.device.choose(DeviceChoice::Auto, true)?;
        let mut weights = self.weights.request(self.output.quiet())?;
        weights.seed = self.seed.seed();
        weights.device = device;
        let study = Study::open(&sources, &weights, &labels, &protocol, watch)?;
        let study = match self.features.folder() {
            Some(folder) => study.with_features_kept_in(folder),
            None => study,
        };
        Ok((claim, study))
    }

    /// Prints the results of a study.
    pub(crate) fn print(&self, outcome: &Outcome) -> Result<(), Fault> {
        if self.output.json() {
            return print_json(&outcome.results());
        }
        out!("{}", outcome.table().to_markdown())?;
        outcome.remark().map_or(Ok(()), |remark| outln!("\n{remark}"))
    }

    fn labels(&self) -> Labels {
        let mut labels = Labels::new(&self.labels.tasks);
        labels.policy = self.labels.policy.policy;
        labels.exact = self.labels.exact_task;
        labels.fold_studies = !self.labels.per_image;
        labels
    }

    fn protocol(&self) -> Protocol {
        let mut protocol = Protocol::seeded(self.seed.seed());
        (protocol.fractions, protocol.draws) = (self.fractions.clone(), self.draws);
        protocol.draw_rule = self.label_draws;
        protocol.unchecked_pretraining = self.unchecked_pretraining;
        protocol.pretraining_data = self.pretraining_data.clone();
        protocol
    }
}
