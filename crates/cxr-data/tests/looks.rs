//! What is seen of images before work begins: blanks, 12 bits in 16, and what a second look need not decode.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use cxr_data::{Dataset, Folder, LoadOptions, Part, Pixels, Radiograph, audit, label_policies, load};
use support::image;

fn grey(value: u8) -> Radiograph {
    Radiograph::new(64, 48, Pixels::U8(vec![value; 64 * 48])).unwrap()
}

fn report(dir: &Path) -> cxr_data::AuditReport {
    let set = Folder::open(dir).unwrap().load(Dataset::Auto, Part::Train, &LoadOptions::default()).unwrap();
    let subset = cxr_data::Subset { name: "train", role: cxr_data::Role::Train, manifest: &set };
    audit(&[subset], &label_policies()).unwrap()
}

/// C35: images of one grey are named; a set of them fails.
#[test]
fn c35_blank_images_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10 {
        image(number).write_png(&dir.path().join(format!("{number}.png"))).unwrap();
    }
    for value in [0, 128, 255] {
        grey(value).write_png(&dir.path().join(format!("blank-{value}.png"))).unwrap();
    }
    let some = report(dir.path());
    assert!(some.passes(), "{some}");
    let text = some.to_string();
    assert!(
        text.contains(
            "- looks: train, 3 images of one grey (all pixels equal): blank-0.png, blank-128.png, blank-255.png"
        ),
        "{text}"
    );
    for number in 0..10 {
        fs::remove_file(dir.path().join(format!("{number}.png"))).unwrap();
    }
    let all = report(dir.path());
    assert!(all.faults().iter().any(|fault| fault.starts_with("looks: train, 3 images of one grey")), "{all}");
}

/// C31: 12 bits in 16 are scaled and said; a true 16-bit image and one of 8 bits in 16 are left alone.
#[test]
fn c31_twelve_bits_in_sixteen() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, most: u32| {
        let values = (0..64 * 48).map(|at: u32| (at * most / (64 * 48 - 1)) as u16).collect();
        Radiograph::new(64, 48, Pixels::U16(values)).unwrap().write_png(&dir.path().join(name)).unwrap();
    };
    for (name, most) in
        [("twelve.png", 4095), ("dim.png", 1000), ("sixteen.png", 65_535), ("above.png", 4096), ("eight.png", 255)]
    {
        write(name, most);
    }
    let most = |name: &str| match cxr_data::decode::read(dir.path().join(name)).unwrap().into_pixels() {
        Pixels::U16(values) => values.into_iter().max().unwrap(),
        Pixels::U8(_) => panic!("{name}: 8 bits"),
    };
    let found = ["twelve.png", "dim.png", "sixteen.png", "above.png", "eight.png"].map(most);
    assert_eq!(found, [65_535, 1000 << 4 | 1000 >> 8, 65_535, 4096, 255]);
    let text = report(dir.path()).to_string();
    assert!(text.contains("- 2 images of 12 bits in 16, scaled to the full range: dim.png, twelve.png"), "{text}");
}

/// What was seen is kept, used again while a file stays the same, and seen anew when it changes.
#[test]
fn a_second_look_decodes_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    for number in 0..5 {
        image(number).write_png(&dir.path().join(format!("{number}.png"))).unwrap();
    }
    let look = || {
        let set = load(dir.path(), Dataset::Folder, Part::All).unwrap();
        let mut store = cxr_data::ScanStore::open(kept.path(), dir.path()).unwrap();
        let subset = cxr_data::Subset { name: "train", role: cxr_data::Role::Train, manifest: &set };
        let report = cxr_data::audit_with(&[subset], &[], Some(&mut store)).unwrap();
        let reused = store.reused();
        store.save().unwrap();
        (reused, report)
    };
    let (reused, first) = look();
    assert_eq!(reused, 0);
    let (reused, second) = look();
    assert_eq!((reused, &second), (5, &first));
    grey(3).write_png(&dir.path().join("2.png.new")).unwrap();
    fs::rename(dir.path().join("2.png.new"), dir.path().join("2.png")).unwrap();
    let (reused, third) = look();
    assert_eq!(reused, 4);
    assert!(third.to_string().contains("1 images of one grey"));
    // A damaged file is as good as none.
    for entry in fs::read_dir(kept.path()).unwrap() {
        fs::write(entry.unwrap().path(), "moco-cxr scan 2\n{}\n00000000\n").unwrap();
    }
    assert_eq!(look(), (0, third));
}
