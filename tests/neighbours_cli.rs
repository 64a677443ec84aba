//! `neighbours`, as a person runs it: the nearest images are those that the features of `embed` say.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use support::{Ran, names, npy, read_json, run, scratch, succeed, synth, table};

const NETWORK: [&str; 6] = ["--weights", "random", "--arch", "resnet18-narrow", "--image-size", "32"];
/// Pixels between the pictures of a sheet.
const GAP: u32 = 4;
/// Further pixels behind the query, and the side of a picture on a sheet, four times the 32 px of the view.
const APART: u32 = 12;
const SHOWN: u32 = 128;
/// Pixels of a line of a caption.
const LINE: u32 = 13;

/// A drawn set with several images of a patient, and what `embed` says of it; made once.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    index: Vec<BTreeMap<String, String>>,
    features: Vec<Vec<f64>>,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("neighbours_cli");
        let (set, _) = synth(&folder, "set", 4, [8, 0, 3]);
        let out = folder.join("features");
        let words = arguments!["embed", "--data", set, "--out", out, "--quiet"].into_iter();
        succeed(words.chain(NETWORK.iter().map(OsString::from)));
        let (shape, values) = npy(&out.join("features.npy"));
        let features = values.chunks(shape[1]).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
        Made { set, index: table(&out.join("index.csv")), features, folder }
    })
}

fn command(out: &Path, more: &[&str]) -> Vec<OsString> {
    let words = arguments!["neighbours", "--data", made().set, "--out", out].into_iter();
    words.chain(NETWORK.iter().chain(more).map(OsString::from)).collect()
}

fn neighbours(name: &str, more: &[&str]) -> (Ran, PathBuf, Vec<BTreeMap<String, String>>) {
    let out = made().folder.join(name);
    let ran = succeed(command(&out, more));
    assert_eq!(names(&out), ["neighbours.csv", "neighbours.json", "sheet.png"]);
    let found = table(&out.join("neighbours.csv"));
    (ran, out, found)
}

/// The admitted images with their similarity to a query, nearest first.
fn by_force(query: usize, admit: impl Fn(usize) -> bool) -> Vec<(usize, f64)> {
    let Made { features, .. } = made();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let mut all: Vec<(usize, f64)> = (0..features.len())
        .filter(|&row| admit(row))
        .map(|row| (row, cosine(&features[query], &features[row])))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

/// Compares what was found with the images by force; of images that are as near as makes no difference either may come first.
fn assert_nearest(found: &[BTreeMap<String, String>], query: usize, k: usize, admit: impl Fn(usize) -> bool) {
    let Made { index, .. } = made();
    let expected = by_force(query, admit);
    let mine: Vec<_> = found.iter().filter(|row| row["query"] == index[query]["path"]).collect();
    assert_eq!(mine.len(), k.min(expected.len()));
    for (rank, (row, expected_here)) in mine.iter().zip(&expected).enumerate() {
        assert_eq!(row["rank"], (rank + 1).to_string());
        let similarity: f64 = row["similarity"].parse().unwrap();
        // Written with six digits; features in f32.
        assert!((similarity - expected_here.1).abs() < 2e-6, "{row:?}, {expected_here:?}");
        let place = index.iter().position(|image| image["path"] == row["neighbour"]).unwrap();
        let its_own = expected.iter().find(|(row, _)| *row == place).expect("an admitted image").1;
        assert!((similarity - its_own).abs() < 2e-6, "{row:?} has similarity {its_own}");
        let same = index[place]["patient"] == index[query]["patient"];
        assert_eq!(row["same_patient"], if same { "yes" } else { "no" });
    }
}

#[test]
fn neighbours_are_those_of_the_embedded_features() {
    let Made { index, .. } = made();
    let of = |row: usize| index[row]["patient"].as_str();
    let query = (0..index.len()).find(|&row| (0..index.len()).any(|o| o != row && of(o) == of(row))).unwrap();
    let other = (query + 5) % index.len();
    let asked = ["--query", &index[query]["path"], "--query", &index[other]["path"], "--k", "3"];
    let (ran, out, found) = neighbours("named", &asked);
    assert!(ran.stdout.contains(&format!("2 queries among {} images", index.len())), "{}", ran.stdout);
    for query in [query, other] {
        assert_nearest(&found, query, 3, |row| of(row) != of(query));
    }
    assert_eq!(found.len(), 6);
    assert!(["1", "0", "-1", ""].contains(&&*found[0]["query_Cardiomegaly"]));
    assert!(found.iter().any(|row| row["neighbour_Pleural Effusion"] == "1"));
    // Captions of four lines: rank and similarity, findings, and two for the path, which a private sheet does not have.
    let sheet = image::open(out.join("sheet.png")).unwrap();
    assert_eq!(sheet.width(), 4 * (SHOWN + GAP) - GAP + APART);
    let (heading, rows) = (sheet.height() + GAP - 2 * GAP, 2 * (SHOWN + 4 * LINE + 3 * GAP));
    assert!(heading > rows && (heading - rows).is_multiple_of(LINE), "{heading}");
    let (_, out_private, _) = neighbours("named-private", &[&asked[..], &["--private"]].concat());
    let private = image::open(out_private.join("sheet.png")).unwrap();
    assert_eq!((private.width(), sheet.height() - private.height()), (sheet.width(), 2 * 2 * LINE));
    let about = read_json(&out.join("neighbours.json"));
    assert_eq!(
        (about["patients"].as_str(), about["data"]["images"].as_u64()),
        (Some("known"), Some(index.len() as u64))
    );

    // The other images of the patient, and all there are; features come from the cache now.
    let (ran, _, all) = neighbours("own", &[&asked[..4], &["--k", "500", "--same-patient"]].concat());
    assert_nearest(&all, query, 500, |row| row != query);
    assert!(all.iter().any(|row| row["same_patient"] == "yes"));
    assert!(ran.stderr.contains("were kept from before"), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 of 2 queries have fewer than 500 images"), "{}", ran.stderr);
}

#[test]
fn queries_of_one_part_are_compared_with_another() {
    let Made { index, .. } = made();
    let more = ["--part", "train", "--query-part", "test", "--queries", "2", "--k", "2", "--no-feature-cache"];
    let (_, _, found) = neighbours("parts", &more);
    let is_train = |row: usize| index[row]["path"].starts_with("train/");
    let mut queries: Vec<&str> = found.iter().map(|row| row["query"].as_str()).collect();
    queries.dedup();
    assert_eq!(queries.len(), 2);
    for query in queries {
        let place = index.iter().position(|image| image["path"] == query).unwrap();
        assert!(!is_train(place), "{query}");
        assert_nearest(&found, place, 2, is_train);
    }
}

#[test]
fn without_patients_a_query_is_still_not_its_own_neighbour() {
    let Made { folder, set, index, .. } = made();
    let plain = folder.join("plain");
    fs::create_dir(&plain).unwrap();
    for (number, image) in index.iter().take(4).enumerate() {
        let path = image["path"].trim_start_matches("CheXpert-v1.0-small/");
        fs::copy(set.join("CheXpert-v1.0-small").join(path), plain.join(format!("{number}.jpg"))).unwrap();
    }
    let out = folder.join("without-patients");
    // A path as a shell completes it is understood, too.
    let query = plain.join("2.jpg");
    let words = arguments!["neighbours", "--data", plain, "--out", out, "--query", query].into_iter();
    let ran = succeed(words.chain(NETWORK.iter().map(OsString::from)));
    assert!(ran.stderr.contains("patients are unknown"), "{}", ran.stderr);
    let found = table(&out.join("neighbours.csv"));
    assert_eq!((found.len(), found[0]["query"].as_str(), found[0]["same_patient"].as_str()), (3, "2.jpg", ""));
    assert!(found.iter().all(|row| row["neighbour"] != "2.jpg"));
    assert!(!found[0].keys().any(|column| column.starts_with("query_")), "no labels, no columns of them");
}

#[test]
fn what_cannot_be_searched_is_refused_and_leaves_nothing() {
    let Made { folder, set, index, .. } = made();
    let out = folder.join("never");
    let refused = |code: i32, more: &[&str], words: &[&str]| {
        let ran = run(command(&out, more));
        assert_eq!(ran.code, Some(code), "{more:?}: {}", ran.stderr);
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{more:?}: {}", ran.stderr);
        assert!(!out.exists(), "{more:?}");
    };
    let misspelt = index[0]["path"].replace("view1", "view7");
    refused(1, &["--query", &misspelt], &["query: found", "view7", "such as", "view1"]);
    refused(2, &["--k", "0"], &["--k: found 0, expected at least 1"]);
    refused(2, &["--queries", "0"], &["--queries: found 0"]);
    refused(2, &["--queries", "2", "--query", "a.jpg"], &["cannot be used with"]);
    let inside = set.join("alike");
    let ran = run(command(&inside, &[]));
    assert_eq!((ran.code, inside.exists()), (Some(2), false), "{}", ran.stderr);
    assert!(ran.stderr.contains("would count as one of them"), "{}", ran.stderr);
    let full = run(command(folder, &[]));
    assert!(full.code == Some(1) && full.stderr.contains("not empty"), "{}", full.stderr);
}
