//! Damaged, foreign and hostile files: an error that names file and position, never a panic or a hang, and no more memory
//! than the file justifies.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, path::PathBuf};

use backbones::{Error, WeightFile, inspect};

const FILES: [&str; 6] = [
    "moco_zip.pth.tar",
    "moco_legacy.pth.tar",
    "torchvision_2017.pth",
    "dtypes.safetensors",
    "layouts_zip.pt",
    "densenet_old_names.pth",
];

fn golden(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/weights")).join(name)).unwrap()
}

/// Opens `bytes` as a file and reads every tensor; the error, if any, must name the file and, unless it is no weight file
/// at all, a position inside it.
fn open(bytes: &[u8]) -> Result<WeightFile, String> {
    let path = "some/weights.pth";
    match WeightFile::from_bytes(path, bytes.to_vec()) {
        Ok(file) => {
            for info in file.tensors() {
                assert_eq!(file.tensor(info).shape().to_vec(), info.shape);
            }
            Ok(file)
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(path), "{text}");
            match error {
                Error::WeightFile { position, .. } => assert!(position <= bytes.len() as u64, "{text}"),
                Error::NotWeights { .. } | Error::WholeModel { .. } => {}
                other => panic!("{other}"),
            }
            Err(text)
        }
    }
}

/// Every length, so that each field of each format is cut once.
#[test]
fn a_file_cut_short_is_an_error() {
    for name in FILES {
        let whole = golden(name);
        assert!(open(&whole).is_ok(), "{name}");
        for length in (0..whole.len()).step_by(if whole.len() > 6000 { 7 } else { 1 }) {
            // The padding behind the last member of a tar archive carries nothing.
            if let Ok(cut) = open(&whole[..length]) {
                assert_eq!(name, "torchvision_2017.pth", "{length} of {}", whole.len());
                assert!(whole[length..].iter().all(|&b| b == 0) && !cut.tensors().is_empty());
            }
        }
    }
}

/// A changed byte either is noticed, or changes a number or a name; it never does harm.
#[test]
fn a_flipped_byte_never_does_harm() {
    for name in FILES {
        let whole = golden(name);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            // One of the eight bits each time, another pattern at every third place.
            bytes[at] ^= if at % 3 == 0 { 0xff } else { 1 << (at % 8) };
            drop(open(&bytes));
        }
    }
    assert!(peak_memory().is_none_or(|peak| peak < 256 << 20), "{:?} bytes", peak_memory());
}

/// The archive keeps checksums of the numbers, so a flipped number is noticed there.
#[test]
fn a_flipped_number_in_a_zip_is_noticed() {
    let mut bytes = golden("layouts_zip.pt");
    let value = 0.75_f32; // any number of the file will do: take the first that occurs
    let at = bytes.windows(4).position(|w| w == 2.5_f32.to_le_bytes()).unwrap();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let error = open(&bytes).unwrap_err();
    assert!(error.contains("do not match their checksum"), "{error}");
}

/// `torch.save`'s legacy form around a pickle of ours, with no storages.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let start =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";
    [start, pickle, b"\x80\x02]."].concat()
}

#[test]
fn a_pickle_that_asks_for_anything_but_tensors_gets_nothing_done() {
    let error = open(&legacy(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")).unwrap_err();
    assert!(error.contains("(os.system)") && error.contains("nothing was executed"), "{error}");
    let error = open(&legacy(b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81.")).unwrap_err();
    assert!(error.contains("torchvision.models.resnet.ResNet"), "{error}");
    let error = open(&legacy(b"\x80\x02K\x05.")).unwrap_err();
    assert!(error.contains("a single plain value"), "{error}");
    // Beside other things, such a call is listed, and does not matter.
    let file = open(&legacy(b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x04\x00\x00\x00true\x85Rs.")).unwrap();
    assert_eq!(file.objects(), [("a".to_owned(), "os.system".to_owned())]);
    // Objects of old-style classes, of classes with arguments and states, and of what is no class at all.
    for pickle in [
        &b"\x80\x02}X\x01\x00\x00\x00a(imodule\nOld\ns."[..],
        b"\x80\x02}X\x01\x00\x00\x00a(cmodule\nOld\nK\x01os.",
        b"\x80\x02}X\x01\x00\x00\x00acmodule\nNew\n)\x81}X\x01\x00\x00\x00bK\x01sbs.",
        b"\x80\x02}X\x01\x00\x00\x00acmodule\nf\n)R)Rs.",
        b"\x80\x04}X\x01\x00\x00\x00acmodule\nf\n)}\x92s.",
    ] {
        assert_eq!(open(&legacy(pickle)).unwrap().objects().len(), 1, "{pickle:?}");
    }
}

#[test]
fn hostile_pickles_do_not_fill_the_memory() {
    // A list of lists of the same list, nested ten deep: ten to the tenth entries if one walked them all.
    let mut bomb = b"\x80\x02]q\x00(K\x01K\x02K\x03K\x04K\x05K\x06K\x07K\x08K\x09K\x0ae".to_vec();
    for i in 0..10_u8 {
        bomb.extend(b"0]q");
        bomb.push(i + 1);
        bomb.push(b'(');
        (0..10).for_each(|_| bomb.extend([b'h', i]));
        bomb.push(b'e');
    }
    bomb.push(b'.');
    let error = open(&legacy(&bomb)).unwrap_err();
    assert!(error.contains("over and over"), "{error}");

    // A list in itself.
    let error = open(&legacy(b"\x80\x02]q\x00h\x00a.")).unwrap_err();
    assert!(error.contains("nested"), "{error}");

    // A tensor of 2^40 numbers whose strides are all 0, of one number in the file.
    let mut bytes = legacy(
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000\
          X\x03\x00\x00\x00cpuK\x01NtQK\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x85K\x00\x85\x89NtR.",
    );
    bytes.truncate(bytes.len() - 4);
    bytes.extend(b"\x80\x02]X\x01\x00\x00\x000a.\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x3f");
    let error = open(&bytes).unwrap_err();
    assert!(error.contains("[1099511627776]") && error.contains("does not fit into its 1 numbers"), "{error}");
    assert!(peak_memory().is_none_or(|peak| peak < 256 << 20), "{:?} bytes", peak_memory());
}

#[test]
fn what_is_no_weight_file_is_said() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html><html></html>", "an HTML or XML page"),
        (b"\x89HDF\r\n\x1a\n and so on", "an HDF5 file"),
        (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x05.", "a pickle that torch.save did not write"),
        (b"just some text, nothing more", "a file of unknown kind"),
    ];
    for (bytes, said) in cases {
        let error = open(bytes).unwrap_err();
        assert!(error.contains(said) && error.contains("expected weights"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = inspect(folder.path()).unwrap_err().to_string();
    assert!(error.contains("a directory"), "{error}");
    let error = inspect(folder.path().join("absent.pth")).unwrap_err().to_string();
    assert!(error.contains("absent.pth"), "{error}");
}

/// Largest resident size of this process so far, in bytes; only Linux says.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
