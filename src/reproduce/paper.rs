//! The tables of the MoCo-CXR paper (PMLR 143, pages 734 to 744), every cell with its interval.
//!
//! Two intervals of appendix table 5 are misprinted (pleural effusion at 1 %: (0.856, 0.886); at 100 %: (0.921, 0.921)). The
//! same cells are correct in appendix table 1, whose numbers are used here.

use super::cell::{Arm, Cell, Init, Quantity, Tuning};

/// A number as printed: value, lower and upper limit.
type Printed = (f64, f64, f64);
/// An arm and its numbers, one per fraction.
type ArmRow<const N: usize> = (Init, &'static str, Tuning, [Printed; N]);
/// Architecture, tuning of the MoCo arm, tuning of the ImageNet arm, improvement at each fraction.
type GainRow<const N: usize> = (&'static str, Tuning, Tuning, [Printed; N]);
/// Task; ImageNet, MoCo and improvement at each fraction.
type TaskRow = (&'static str, [Printed; 4], [Printed; 4], [Printed; 4]);

const R18: &str = "resnet18";
const D121: &str = "densenet121";
use Init::{ImageNet, MoCo};
use Tuning::{EndToEnd, Linear};

/// Label fractions of CheXpert.
pub(super) const CHEXPERT: [f64; 4] = [0.001, 0.01, 0.1, 1.0];
/// Label fractions of Shenzhen.
pub(super) const SHENZHEN: [f64; 3] = [0.0625, 0.25, 1.0];
const EFFUSION: &str = "Pleural Effusion";
const TUBERCULOSIS: &str = "Tuberculosis";

#[rustfmt::skip]
const APP1: [ArmRow<4>; 8] = [
    (MoCo, R18, Linear, [(0.776, 0.735, 0.811), (0.838, 0.797, 0.873), (0.848, 0.807, 0.883), (0.850, 0.808, 0.884)]),
    (ImageNet, R18, Linear, [(0.683, 0.644, 0.719), (0.766, 0.716, 0.805), (0.799, 0.750, 0.840), (0.815, 0.768, 0.853)]),
    (MoCo, D121, Linear, [(0.775, 0.737, 0.806), (0.833, 0.790, 0.871), (0.839, 0.800, 0.877), (0.845, 0.803, 0.881)]),
    (ImageNet, D121, Linear, [(0.669, 0.631, 0.705), (0.755, 0.706, 0.804), (0.769, 0.716, 0.818), (0.789, 0.739, 0.836)]),
    (MoCo, R18, EndToEnd, [(0.813, 0.779, 0.842), (0.885, 0.856, 0.909), (0.915, 0.885, 0.937), (0.942, 0.921, 0.962)]),
    (ImageNet, R18, EndToEnd, [(0.775, 0.737, 0.807), (0.858, 0.828, 0.886), (0.898, 0.872, 0.921), (0.942, 0.920, 0.961)]),
    (MoCo, D121, EndToEnd, [(0.795, 0.758, 0.828), (0.877, 0.849, 0.901), (0.920, 0.896, 0.941), (0.953, 0.935, 0.969)]),
    (ImageNet, D121, EndToEnd, [(0.747, 0.712, 0.779), (0.857, 0.821, 0.886), (0.908, 0.884, 0.929), (0.949, 0.928, 0.967)]),
];

#[rustfmt::skip]
const TABLE1: [GainRow<4>; 6] = [
    (R18, EndToEnd, EndToEnd, [(0.037, 0.015, 0.062), (0.027, 0.006, 0.047), (0.017, 0.003, 0.031), (0.000, -0.009, 0.009)]),
    (R18, Linear, Linear, [(0.096, 0.061, 0.130), (0.070, 0.029, 0.112), (0.049, 0.005, 0.094), (0.034, -0.009, 0.080)]),
    (R18, Linear, EndToEnd, [(0.001, -0.024, 0.025), (-0.022, -0.051, 0.009), (-0.050, -0.083, -0.018), (-0.094, -0.127, -0.062)]),
    (D121, EndToEnd, EndToEnd, [(0.048, 0.023, 0.074), (0.019, 0.001, 0.037), (0.012, 0.000, 0.023), (0.003, -0.006, 0.013)]),
    (D121, Linear, Linear, [(0.107, 0.075, 0.142), (0.078, 0.035, 0.121), (0.067, 0.023, 0.111), (0.055, 0.008, 0.102)]),
    (D121, Linear, EndToEnd, [(0.029, 0.002, 0.055), (-0.024, -0.050, -0.003), (-0.070, -0.109, -0.036), (-0.107, -0.141, -0.073)]),
];

#[rustfmt::skip]
const APP2: [ArmRow<3>; 8] = [
    (MoCo, R18, Linear, [(0.902, 0.848, 0.945), (0.928, 0.874, 0.966), (0.944, 0.907, 0.972)]),
    (ImageNet, R18, Linear, [(0.852, 0.791, 0.901), (0.903, 0.845, 0.952), (0.927, 0.873, 0.971)]),
    (MoCo, D121, Linear, [(0.899, 0.850, 0.939), (0.927, 0.881, 0.963), (0.943, 0.904, 0.975)]),
    (ImageNet, D121, Linear, [(0.872, 0.817, 0.920), (0.909, 0.852, 0.951), (0.931, 0.886, 0.968)]),
    (MoCo, R18, EndToEnd, [(0.911, 0.867, 0.943), (0.953, 0.919, 0.978), (0.974, 0.945, 0.993)]),
    (ImageNet, R18, EndToEnd, [(0.911, 0.863, 0.952), (0.948, 0.912, 0.978), (0.970, 0.943, 0.990)]),
    (MoCo, D121, EndToEnd, [(0.909, 0.866, 0.947), (0.950, 0.911, 0.980), (0.984, 0.960, 0.999)]),
    (ImageNet, D121, EndToEnd, [(0.898, 0.848, 0.935), (0.944, 0.904, 0.980), (0.971, 0.946, 0.991)]),
];

#[rustfmt::skip]
const APP3: [GainRow<3>; 6] = [
    (R18, EndToEnd, EndToEnd, [(0.001, -0.022, 0.027), (0.005, -0.012, 0.027), (0.003, -0.014, 0.020)]),
    (R18, Linear, Linear, [(0.054, 0.024, 0.086), (0.026, -0.001, 0.056), (0.018, -0.011, 0.053)]),
    (R18, Linear, EndToEnd, [(-0.007, -0.029, 0.015), (-0.020, -0.040, -0.003), (-0.026, -0.052, -0.005)]),
    (D121, EndToEnd, EndToEnd, [(0.011, -0.006, 0.028), (0.006, -0.010, 0.023), (0.013, -0.003, 0.033)]),
    (D121, Linear, Linear, [(0.024, -0.001, 0.050), (0.016, -0.011, 0.043), (0.013, -0.014, 0.041)]),
    (D121, Linear, EndToEnd, [(-0.001, -0.023, 0.019), (-0.016, -0.035, 0.001), (-0.027, -0.053, -0.003)]),
];

/// Learning rate of the pretraining, and the linear evaluation on all of Shenzhen.
#[rustfmt::skip]
const TABLE2: [(Init, Printed); 4] = [
    (Init::MoCoRate("1e-2"), (0.786, 0.699, 0.861)),
    (Init::MoCoRate("1e-3"), (0.908, 0.853, 0.955)),
    (Init::MoCo, (0.944, 0.907, 0.972)),
    (Init::MoCoRate("1e-5"), (0.939, 0.891, 0.975)),
];

#[rustfmt::skip]
const APP4: [TaskRow; 4] = [
    ("Atelectasis", [(0.602, 0.571, 0.635), (0.612, 0.574, 0.650), (0.703, 0.654, 0.748), (0.732, 0.685, 0.778)],
        [(0.630, 0.592, 0.668), (0.671, 0.623, 0.714), (0.751, 0.708, 0.796), (0.758, 0.712, 0.802)],
        [(0.030, -0.005, 0.064), (0.060, 0.022, 0.098), (0.048, 0.011, 0.086), (0.025, -0.015, 0.065)]),
    ("Cardiomegaly", [(0.485, 0.454, 0.516), (0.634, 0.587, 0.674), (0.685, 0.638, 0.733), (0.700, 0.652, 0.747)],
        [(0.640, 0.605, 0.671), (0.735, 0.690, 0.779), (0.745, 0.698, 0.788), (0.737, 0.694, 0.780)],
        [(0.156, 0.122, 0.193), (0.100, 0.058, 0.139), (0.060, 0.019, 0.101), (0.038, -0.004, 0.082)]),
    ("Consolidation", [(0.633, 0.566, 0.694), (0.615, 0.548, 0.678), (0.752, 0.674, 0.821), (0.749, 0.665, 0.830)],
        [(0.644, 0.554, 0.734), (0.699, 0.617, 0.771), (0.794, 0.699, 0.876), (0.771, 0.665, 0.859)],
        [(0.008, -0.085, 0.093), (0.083, -0.007, 0.166), (0.041, -0.059, 0.127), (0.019, -0.093, 0.119)]),
    ("Edema", [(0.725, 0.682, 0.766), (0.810, 0.764, 0.849), (0.844, 0.801, 0.884), (0.846, 0.805, 0.886)],
        [(0.781, 0.743, 0.814), (0.847, 0.809, 0.883), (0.870, 0.833, 0.900), (0.867, 0.830, 0.898)],
        [(0.055, 0.016, 0.092), (0.038, 0.005, 0.071), (0.024, -0.009, 0.059), (0.020, -0.015, 0.052)]),
];

#[rustfmt::skip]
const APP5: [TaskRow; 4] = [
    ("Atelectasis", [(0.611, 0.582, 0.641), (0.685, 0.651, 0.719), (0.732, 0.694, 0.770), (0.842, 0.807, 0.878)],
        [(0.673, 0.637, 0.706), (0.730, 0.693, 0.762), (0.787, 0.750, 0.823), (0.821, 0.781, 0.860)],
        [(0.061, 0.034, 0.089), (0.043, 0.015, 0.069), (0.054, 0.030, 0.076), (-0.021, -0.037, -0.004)]),
    ("Cardiomegaly", [(0.593, 0.561, 0.624), (0.728, 0.690, 0.765), (0.808, 0.769, 0.844), (0.857, 0.822, 0.890)],
        [(0.663, 0.628, 0.695), (0.811, 0.777, 0.840), (0.820, 0.779, 0.856), (0.858, 0.824, 0.892)],
        [(0.069, 0.041, 0.097), (0.083, 0.059, 0.108), (0.011, -0.010, 0.029), (0.001, -0.014, 0.016)]),
    ("Consolidation", [(0.618, 0.554, 0.680), (0.673, 0.614, 0.727), (0.809, 0.763, 0.853), (0.888, 0.847, 0.927)],
        [(0.646, 0.574, 0.713), (0.733, 0.663, 0.792), (0.852, 0.790, 0.903), (0.904, 0.858, 0.939)],
        [(0.028, -0.015, 0.072), (0.061, 0.006, 0.120), (0.042, 0.009, 0.070), (0.016, -0.011, 0.046)]),
    ("Edema", [(0.771, 0.737, 0.804), (0.846, 0.810, 0.880), (0.865, 0.829, 0.898), (0.907, 0.876, 0.935)],
        [(0.786, 0.752, 0.820), (0.850, 0.815, 0.882), (0.877, 0.840, 0.908), (0.894, 0.860, 0.923)],
        [(0.015, -0.014, 0.042), (0.004, -0.017, 0.024), (0.011, -0.008, 0.030), (-0.013, -0.027, 0.001)]),
];

/// A table of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaperTable {
    /// Table 1: improvement of MoCo over ImageNet, pleural effusion, CheXpert.
    Table1,
    /// Table 2: learning rate of the pretraining, tuberculosis, Shenzhen.
    Table2,
    /// Appendix table 1: AUROC of pleural effusion, CheXpert.
    App1,
    /// Appendix table 2: AUROC of tuberculosis, Shenzhen.
    App2,
    /// Appendix table 3: improvement, tuberculosis, Shenzhen.
    App3,
    /// Appendix table 4: linear models of the other CheXpert tasks, ResNet18.
    App4,
    /// Appendix table 5: end-to-end models of the other CheXpert tasks, ResNet18.
    App5,
}

impl PaperTable {
    /// All tables in the order of the paper.
    pub const ALL: [Self; 7] = [Self::Table1, Self::Table2, Self::App1, Self::App2, Self::App3, Self::App4, Self::App5];

    /// `table1`, ..., `app5`.
    pub fn name(self) -> &'static str {
        ["table1", "table2", "app1", "app2", "app3", "app4", "app5"][self as usize]
    }

    /// Title of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Table1 => "Table 1: improvement of MoCo over ImageNet, pleural effusion, CheXpert",
            Self::Table2 => "Table 2: learning rate of the pretraining, tuberculosis, Shenzhen, ResNet18, linear",
            Self::App1 => "Appendix table 1: AUROC, pleural effusion, CheXpert",
            Self::App2 => "Appendix table 2: AUROC, tuberculosis, Shenzhen",
            Self::App3 => "Appendix table 3: improvement of MoCo over ImageNet, tuberculosis, Shenzhen",
            Self::App4 => "Appendix table 4: linear models, five tasks, CheXpert, ResNet18",
            Self::App5 => "Appendix table 5: end-to-end models, five tasks, CheXpert, ResNet18",
        }
    }

    /// All cells, row by row.
    pub fn cells(self) -> Vec<Cell> {
        match self {
            Self::Table1 => gains(EFFUSION, &CHEXPERT, &TABLE1),
            Self::Table2 => {
                let row = |(init, printed): &(Init, Printed)| {
                    (Quantity::Auroc(Arm { arch: R18, init: *init, tuning: Linear }), TUBERCULOSIS, [*printed])
                };
                cells(&[1.0], TABLE2.iter().map(row))
            }
            Self::App1 => arms(EFFUSION, &CHEXPERT, &APP1),
            Self::App2 => arms(TUBERCULOSIS, &SHENZHEN, &APP2),
            Self::App3 => gains(TUBERCULOSIS, &SHENZHEN, &APP3),
            Self::App4 => tasks(Linear, &APP4),
            Self::App5 => tasks(EndToEnd, &APP5),
        }
    }
}

fn cells<const N: usize>(
    fractions: &[f64; N],
    rows: impl Iterator<Item = (Quantity, &'static str, [Printed; N])>,
) -> Vec<Cell> {
    let row = |(quantity, task, printed): (Quantity, &'static str, [Printed; N])| {
        let cell = move |(&fraction, (value, lower, upper)): (&f64, Printed)| Cell {
            quantity,
            task,
            fraction,
            value,
            lower,
            upper,
        };
        fractions.iter().zip(printed).map(cell).collect::<Vec<_>>()
    };
    rows.flat_map(row).collect()
}

fn arms<const N: usize>(task: &'static str, fractions: &[f64; N], rows: &[ArmRow<N>]) -> Vec<Cell> {
    let row = |&(init, arch, tuning, printed): &ArmRow<N>| (Quantity::Auroc(Arm { arch, init, tuning }), task, printed);
    cells(fractions, rows.iter().map(row))
}

fn gains<const N: usize>(task: &'static str, fractions: &[f64; N], rows: &[GainRow<N>]) -> Vec<Cell> {
    let row = |&(arch, ours, theirs, printed): &GainRow<N>| (gain(arch, ours, theirs), task, printed);
    cells(fractions, rows.iter().map(row))
}

fn gain(arch: &'static str, ours: Tuning, theirs: Tuning) -> Quantity {
    let arm = |init, tuning| Arm { arch, init, tuning };
    Quantity::Improvement(arm(MoCo, ours), arm(ImageNet, theirs))
}

/// ImageNet, MoCo and improvement of each task; pleural effusion is taken from appendix table 1 and table 1.
fn tasks(tuning: Tuning, rows: &[TaskRow; 4]) -> Vec<Cell> {
    let arm = |init| Quantity::Auroc(Arm { arch: R18, init, tuning });
    let three = |&(task, imagenet, moco, improvement): &TaskRow| {
        [(arm(ImageNet), task, imagenet), (arm(MoCo), task, moco), (gain(R18, tuning, tuning), task, improvement)]
    };
    let effusion = [PaperTable::App1, PaperTable::Table1].into_iter().flat_map(PaperTable::cells);
    let wanted = [arm(ImageNet), arm(MoCo), gain(R18, tuning, tuning)];
    let effusion = effusion.filter(|cell| wanted.contains(&cell.quantity));
    cells(&CHEXPERT, rows.iter().flat_map(three)).into_iter().chain(effusion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_paper_is_present_and_lies_in_its_interval() {
        let count: Vec<usize> = PaperTable::ALL.iter().map(|table| table.cells().len()).collect();
        assert_eq!(count, [24, 4, 32, 24, 18, 60, 60]);
        for table in PaperTable::ALL {
            for cell in table.cells() {
                assert!(cell.lower < cell.value && cell.value < cell.upper, "{}: {cell:?}", table.name());
            }
        }
    }

    #[test]
    fn improvements_are_the_differences_of_their_arms_up_to_separate_bootstraps() {
        for (gains, arms) in [(PaperTable::Table1, PaperTable::App1), (PaperTable::App3, PaperTable::App2)] {
            for cell in gains.cells() {
                let Quantity::Improvement(ours, theirs) = cell.quantity else { panic!("{cell:?}") };
                let value = |arm: Arm| {
                    let same = |c: &&Cell| c.quantity == Quantity::Auroc(arm) && c.fraction == cell.fraction;
                    arms.cells().iter().find(same).map(|c| c.value).unwrap_or(f64::NAN)
                };
                // Each was bootstrapped separately and rounded; the largest gap in the paper is 0.005.
                let difference = value(ours) - value(theirs);
                assert!((difference - cell.value).abs() <= 0.0051, "{cell:?}: {difference}");
            }
        }
        for table in [PaperTable::App4, PaperTable::App5] {
            for cell in table.cells() {
                let Quantity::Improvement(ours, theirs) = cell.quantity else { continue };
                let value = |arm: Arm| {
                    let same = |c: &&Cell| {
                        c.quantity == Quantity::Auroc(arm) && c.fraction == cell.fraction && c.task == cell.task
                    };
                    table.cells().iter().find(same).map(|c| c.value).unwrap_or(f64::NAN)
                };
                let difference = value(ours) - value(theirs);
                assert!((difference - cell.value).abs() <= 0.0051, "{cell:?}: {difference}");
            }
        }
    }
}
