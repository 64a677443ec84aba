//! Synthetic frontal chest radiographs with known findings, to run, test and demonstrate everything else without
//! licensed data.
//!
//! A patient has a body (lungs, heart, ribs, diaphragm, vessels); a study has a position, an inspiration, an exposure,
//! and its own findings. The attenuations along the beam add up, then a film is exposed. The labels can be learned from
//! the shapes, but not from shortcuts: mean and deviation of the pixels, markers and tubes are independent of the
//! findings, and a patient's studies share findings only by chance. Findings are extensive, so that they show on small
//! images and can be told from few labelled films; faint and small ones are not drawn. The images are for testing
//! methods, not for learning radiology.
//!
//! ```
//! use cxr_data::synth::{Finding, SynthConfig, draw_patient, render_study};
//!
//! let config = SynthConfig { size: 64, ..SynthConfig::default() };
//! let patient = draw_patient(&config, 1);
//! let study = &patient.studies[0];
//! let radiograph = render_study(&config, &patient, study);
//! assert_eq!((radiograph.width(), radiograph.height()), (64, 64));
//! println!("effusion: {}", study.has(Finding::PleuralEffusion));
//! ```

mod anatomy;
mod building;
mod cohort;
mod config;
mod draw;
mod film;
mod findings;
mod layout;
mod render;
mod report;
mod strokes;

pub use cohort::{SynthPatient, SynthStudy, draw_patient};
pub use config::{Finding, FindingRates, SynthConfig};
pub use layout::{PartSummary, SynthSummary, is_drawn, write};

use anatomy::{Body, Pose};
use draw::{Draw, Topic};
use findings::Lesions;

use crate::{Pixels, Radiograph};

/// The image of one study: 8 bits, `size` x `size`, 0 = black. A pure function of configuration and study.
///
/// # Panics
///
/// If `size` is 0, which [`SynthConfig::validate`] refuses.
pub fn render_study(config: &SynthConfig, patient: &SynthPatient, study: &SynthStudy) -> Radiograph {
    let of_patient = |topic| Draw::new(config.seed, patient.number, 0, topic);
    let of_study = |topic| Draw::new(config.seed, patient.number, study.number, topic);
    let size = config.size as usize;

    let mut anatomy = of_patient(Topic::Anatomy);
    let body = Body::draw(&mut anatomy, patient.sex, patient.age);
    let vessels = strokes::vessels(&mut anatomy);
    let mut extent = of_study(Topic::Lesions);
    let enlarged = study.has(Finding::Cardiomegaly).then(|| findings::enlarged_ratio(&mut extent));
    let pose = Pose::draw(&mut of_study(Topic::Pose), &body, study.projection, enlarged);
    let lesions = Lesions::draw(&mut extent, study, &pose);

    let vessels = strokes::vessel_plane(&vessels, &pose, size);
    let devices = strokes::device_plane(&mut of_study(Topic::Devices), &pose, study.support_devices, size);
    let attenuation = render::attenuation(&pose, &lesions, &vessels, &devices, size);
    let grey = film::expose(&mut of_study(Topic::Film), &attenuation, size);
    Radiograph::new(size, size, Pixels::U8(grey)).expect("size x size values were made, and size is not 0")
}
