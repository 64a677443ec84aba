//! The clock of operations. One test, in a process of its own, as the switch and the sums are the process's.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use backbones::{
    Initializer,
    cpu_times::{ConvShape, Part, record, take, time, time_until_next},
};
use burn::tensor::{Device, Tensor};

#[test]
fn times_add_up_and_are_off_by_default() {
    let pause = || sleep(Duration::from_millis(20));
    drop(time(Part::Average));
    assert!(take().parts.is_empty(), "off");

    record(true);
    let begin = Instant::now();
    {
        let _outer = time(Part::Concatenation).work(7);
        pause();
        drop(time_until_next(Part::Loss)); // ended by its drop
        {
            let _span = time_until_next(Part::Loss);
            pause();
            let _inner = time(Part::Average);
            pause();
        }
        pause();
    }
    let wall = begin.elapsed().as_secs_f64();
    let times = take();
    let [outer, span, inner] = [Part::Concatenation, Part::Loss, Part::Average].map(|part| times.parts[&part]);
    assert_eq!([outer.calls, span.calls, inner.calls], [1, 2, 1]);
    assert_eq!(outer.work, 7);
    // Sleeping takes at least as long as asked.
    assert!(outer.seconds >= 0.04 && span.seconds >= 0.02 && inner.seconds >= 0.02, "{times:?}");
    let sum = outer.seconds + span.seconds + inner.seconds;
    assert!(sum <= wall, "each moment counts once: {sum} of {wall}");

    let shape =
        ConvShape { batch: 2, input: 3, side: [224, 224], output: 64, kernel: [7, 7], stride: 2, out_side: [112, 112] };
    assert_eq!(shape.flops(), 2 * 2 * 118_013_952, "two for each MAC of ResNet's first layer, two images");
    if cfg!(feature = "flex") {
        let device = Device::flex().autodiff();
        let conv = Initializer::new(0, &device).conv2d(3, 64, 7, 2, 3);
        let x = Tensor::<4>::ones([2, 3, 224, 224], &device).require_grad();
        drop(conv.forward(x).sum().backward());
        let times = take();
        for part in [Part::ConvForward, Part::ConvInputGrad, Part::ConvWeightGrad] {
            let tally = times.convolutions[&(part, shape)];
            assert_eq!((tally.calls, tally.work), (1, shape.flops()), "{part:?}");
            assert_eq!(tally, times.parts[&part]);
        }
    }
}
