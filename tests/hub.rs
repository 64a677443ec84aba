//! Fetching published weights, from a small server on this machine. Compiled with the feature `hub`.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest, Sha256};
use support::{Ran, scratch, succeed, tool};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Answers like Hugging Face: the first request says commit and checksum and points elsewhere, the second gives the file.
struct Server {
    address: String,
    /// Paths that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// With `announced`, the checksum that the first answer says.
    fn start(file: Vec<u8>, announced: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        // The thread ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let path = lines.next().unwrap().unwrap().split(' ').nth(1).unwrap().to_owned();
                for line in lines.by_ref() {
                    if line.unwrap().is_empty() {
                        break;
                    }
                }
                let (head, body): (String, &[u8]) = match path.as_str() {
                    "/timm/resnet18.tv_in1k/resolve/main/model.safetensors" => {
                        let more = format!("X-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{announced}\"");
                        (format!("302 Found\r\nLocation: /lfs/file\r\n{more}\r\nContent-Length: 0"), &[])
                    }
                    "/lfs/file" => (format!("200 OK\r\nContent-Length: {}", file.len()), &file),
                    "/short/timm/resnet18.tv_in1k/resolve/main/model.safetensors" => {
                        (format!("200 OK\r\nContent-Length: {}", file.len()), &file[..file.len() / 2])
                    }
                    _ => ("404 Not Found\r\nContent-Length: 0".to_owned(), &[]),
                };
                log.lock().unwrap().push(path);
                let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(body);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn import(endpoint: &str, folder: &Path, arch: &str, out: &Path) -> Ran {
    let mut tool = tool(arguments!["import", "imagenet", "--arch", arch, "--quiet", "--out", out]);
    tool.env("HF_ENDPOINT", endpoint).env("HF_HOME", folder.join("hf")).env("MOCO_CXR_CACHE", folder.join("cache"));
    let output = tool.env_remove("HF_HUB_CACHE").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn repository(folder: &Path) -> PathBuf {
    folder.join("hf/hub/models--timm--resnet18.tv_in1k")
}

/// The bytes of a safetensors file after its header, whose length is in the first eight.
fn tensors(file: &[u8]) -> &[u8] {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    &rest[usize::try_from(u64::from_le_bytes(*length)).unwrap()..]
}

#[test]
fn imagenet_weights_are_fetched_once_and_held_to_their_checksum() {
    let folder = scratch("hub");
    let export = folder.join("export");
    succeed(arguments!["export", "random", "--arch", "resnet18", "--out", export, "--quiet"]);
    let file = fs::read(export.join("model.safetensors")).unwrap();
    let sum = Sha256::digest(&file).iter().map(|b| format!("{b:02x}")).collect::<String>();

    // What is not what was announced, ends early or is not there leaves nothing behind.
    let wrong = Server::start(file.clone(), "0".repeat(64));
    let out = folder.join("imported");
    let failures = [
        (wrong.address.clone(), "resnet18", format!("found SHA-256 {sum}, expected {}", "0".repeat(64))),
        (format!("{}/short", wrong.address), "resnet18", format!("after {} bytes", file.len() / 2)),
        (wrong.address.clone(), "resnet34", "the server answered 404".to_owned()),
    ];
    for (endpoint, arch, expected) in failures {
        let ran = import(&endpoint, &folder, arch, &out);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("fetching http://127.0.0.1") && ran.stderr.contains(&expected), "{ran:?}");
        let left = fs::read_dir(repository(&folder).join("blobs")).map_or(0, Iterator::count);
        assert!(left == 0 && !out.exists(), "{ran:?}");
    }

    let server = Server::start(file.clone(), sum.clone());
    let ran = import(&server.address, &folder, "resnet18", &out);
    assert_eq!((ran.code, server.asked()), (Some(0), 2), "{ran:?}");
    // The same tensors; the header also holds the checksums of the files beside it, which differ.
    assert!(tensors(&fs::read(out.join("model.safetensors")).unwrap()) == tensors(&file));
    // Where Hugging Face's own tools look for it.
    let repository = repository(&folder);
    assert!(fs::read(repository.join("snapshots").join(COMMIT).join("model.safetensors")).unwrap() == file);
    assert!(repository.join("blobs").join(&sum).is_file());
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);

    // The second time nobody is asked.
    let again = folder.join("again");
    assert_eq!(import(&server.address, &folder, "resnet18", &again).code, Some(0));
    assert_eq!(server.asked(), 2);
    // Changed since its first use.
    let mut bytes = file;
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(repository.join("blobs").join(sum), bytes).unwrap();
    let ran = import(&server.address, &folder, "resnet18", &folder.join("changed"));
    assert!(ran.code == Some(1) && ran.stderr.contains("as when it was first used"), "{ran:?}");
}
