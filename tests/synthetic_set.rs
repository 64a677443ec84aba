//! The findings of the synthetic set can be learned from its pictures: a small convolutional network, trained with labels,
//! tells each of them on patients it has not seen. (That no shortcut leads there is tested beside the generator.)
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, activation::relu, module::max_pool2d, ops::MaxPoolOptions},
};
use moco_cxr::{
    backbones::{Backbone, BatchNorm, Classifier, Conv2d, Initializer, Mode},
    cxr_data::{Part, synth::Finding, synth::SynthConfig, synth::draw_patient, synth::render_study},
    eval::{auroc, masked_bce, predict},
    moco_core::{Decay, NamedGradients, OptimizerConfig, Rule, Schedule},
};
use ndarray::{Array2, Array3, Axis};

const SIDE: u32 = 64;
const BATCH: usize = 32;
/// One a pass; none divides the number of images, so that multiples of it visit each image once.
const STRIDES: [usize; 7] = [7919, 7907, 7901, 7883, 7879, 7877, 7873];

/// Six convolutions with their norms, halving the image after the first, third and fifth; 125,000 weights.
#[derive(Module, Debug)]
struct Small {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Small {
    const WIDTHS: [usize; 7] = [1, 16, 32, 32, 64, 64, 96];

    fn classifier(device: &Device) -> Classifier<Self> {
        let mut init = Initializer::new(1, device);
        let convs = Self::WIDTHS.windows(2).map(|w| init.conv2d(w[0], w[1], 3, 1, 1)).collect();
        let norms = Self::WIDTHS[1..].iter().map(|&width| init.batch_norm(width)).collect();
        let head = init.linear(Self::WIDTHS[6], Finding::ALL.len());
        Classifier::new(Self { convs, norms }, head, "fc")
    }
}

impl Backbone for Small {
    fn feature_dim(&self) -> usize {
        Self::WIDTHS[6]
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let [b, ..] = images.dims();
        // Exposure says nothing: every image gets mean 0 and deviation 1.
        let x = images.clone() - images.mean_dims(&[2, 3]); // [B, 1, S, S]
        let mut x = x.clone() / (x.square().mean_dims(&[2, 3]) + 1e-6).sqrt();
        for (layer, (conv, norm)) in self.convs.iter().zip(&mut self.norms).enumerate() {
            x = relu(norm.forward(conv.forward(x), mode));
            if layer % 2 == 0 && layer < 5 {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]));
            }
        }
        // The largest response anywhere: a nodule is small.
        let [_, c, h, w] = x.dims();
        x.reshape([b, c, h * w]).max_dim(2).reshape([b, c]) // [B, 96]
    }
}

/// Images `[N, S, S]` and truth `[N, 4]` of a part, drawn in memory.
fn part(config: &SynthConfig, part: Part) -> (Array3<u8>, Array2<f64>) {
    let (mut pixels, mut truth) = (Vec::new(), Vec::new());
    for patient in (1..=config.patients()).map(|number| draw_patient(config, number)).filter(|p| p.part == part) {
        for study in &patient.studies {
            pixels.extend(render_study(config, &patient, study).to_u8());
            truth.extend(study.findings.map(|present| f64::from(u8::from(present))));
        }
    }
    let (n, side) = (truth.len() / 4, config.size as usize);
    (Array3::from_shape_vec((n, side, side), pixels).unwrap(), Array2::from_shape_vec((n, 4), truth).unwrap())
}

/// Rows of `images` in `[0, 1]`, moved by up to four pixels around the border, every other time mirrored. `[B, 1, S, S]`
fn moved(images: &Array3<u8>, rows: &[usize], step: usize, device: &Device) -> Tensor<4> {
    let side = images.len_of(Axis(1));
    let (down, right) = (side - 4 + step % 9, side - 4 + step / 9 % 9);
    let views = Array3::from_shape_fn((rows.len(), side, side), |(i, y, x)| {
        let x = if step.is_multiple_of(2) { x } else { side - 1 - x };
        f32::from(images[[rows[i], (y + down) % side, (x + right) % side]]) / 255.0
    });
    Tensor::from_data(TensorData::new(views.into_raw_vec_and_offset().0, [rows.len(), 1, side, side]), device)
}

#[test]
fn a_small_supervised_network_tells_each_finding_on_unseen_patients() {
    let config = SynthConfig {
        seed: 11,
        train_patients: 800,
        valid_patients: 0,
        test_patients: 220,
        size: SIDE,
        ..SynthConfig::default()
    };
    let (images, targets) = part(&config, Part::Train);
    let n = images.len_of(Axis(0));

    let device = Device::flex().autodiff();
    let mut model = Small::classifier(&device);
    let mut optimizer = OptimizerConfig::new(Rule::ADAM_W, 1e-3).init();
    let mut schedule = Schedule::new(3e-3, Decay::Cosine);
    schedule.warmup_epochs = 1.0;
    let (per_pass, mut step) = (n / BATCH, 0);
    for stride in STRIDES {
        assert_ne!(n % stride, 0);
        let order: Vec<usize> = (0..n).map(|i| i * stride % n).collect();
        for rows in order.chunks_exact(BATCH) {
            let logits = model.forward(moved(&images, rows, step, &device), Mode::TRAIN);
            let loss = masked_bce(logits, targets.select(Axis(0), rows).view()).unwrap().unwrap();
            let gradients = NamedGradients::take(&model, loss.backward());
            let lr = schedule.lr_at(step as u64, per_pass, STRIDES.len() as u64);
            model = optimizer.step(model, gradients, lr);
            step += 1;
        }
    }

    let (images, targets) = part(&config, Part::Test);
    let rows: Vec<usize> = (0..images.len_of(Axis(0))).collect();
    let batches = rows.chunks(BATCH).map(|rows| Ok::<_, std::io::Error>((images.select(Axis(0), rows), rows.to_vec())));
    let (logits, _) = predict(&model, batches).unwrap();
    for finding in Finding::ALL {
        let column = |values: &Array2<f64>| values.column(finding as usize).to_vec();
        let labels: Vec<bool> = column(&targets).iter().map(|&t| t == 1.0).collect();
        let auc = auroc(&labels, &column(&logits), None).unwrap();
        println!("{}: AUROC {auc:.3} on {} images", finding.column(), labels.len());
        // What the generator promises; the deviation of an AUROC of 0.9 on 400 images is about 0.015.
        assert!(auc > 0.9, "{}: AUROC {auc:.3}", finding.column());
    }
}
