//! Downloads of files. A file appears under its name only when it is complete.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};
use ureq::{Agent, Body, http::Response};

type Result<T> = std::result::Result<T, String>;

/// Receives the bytes so far, and the total if the server sends it.
type Progress<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// Downloads a file of a repository into `folder`, in the layout of Hugging Face's own tools: `blobs/SHA256`,
/// `snapshots/COMMIT/FILE` and `refs/main`.
///
/// The server answers the first request with the commit and, for a large file, its SHA-256 and URL.
pub(super) fn from_hub(endpoint: &str, url: &str, folder: &Path, file: &str, progress: Progress<'_>) -> Result<()> {
    let answer = get(url, 0)?;
    let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(|text| text.trim_matches('"').to_owned());
    let status = answer.status().as_u16();
    let place = match (status, header("location")) {
        (200, _) => url.to_owned(),
        (301 | 302 | 303 | 307 | 308, Some(place)) if place.starts_with('/') => format!("{endpoint}{place}"),
        (301 | 302 | 303 | 307 | 308, Some(place)) => place,
        _ => return Err(format!("the server answered {status}, expected the file")),
    };
    let is_sha256 = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let expected = header("x-linked-etag").or_else(|| header("etag")).filter(is_sha256);
    let word = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let commit = header("x-repo-commit").filter(word).unwrap_or_else(|| "main".to_owned());

    // If the server already began to send the file, close that connection before the next request.
    drop(answer);

    let blobs = folder.join("blobs");
    let partial = blobs.join(format!("{file}.fetched-{}", std::process::id()));
    let sum = to_file(&place, &partial, expected.as_deref(), progress)?;
    let snapshot = folder.join("snapshots").join(&commit);
    let io = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| format!("{path}: {e}")
    };
    let blob = blobs.join(&sum);
    fs::rename(&partial, &blob).map_err(io(&blob))?;
    fs::create_dir_all(&snapshot).map_err(io(&snapshot))?;
    let path = snapshot.join(file);
    if fs::symlink_metadata(&path).is_ok() {
        fs::remove_file(&path).map_err(io(&path))?;
    }
    link(&blob, &sum, &path).map_err(io(&path))?;
    let refs = folder.join("refs");
    fs::create_dir_all(&refs).map_err(io(&refs))?;
    fs::write(refs.join("main"), commit).map_err(io(&refs))
}

#[cfg(unix)]
fn link(_: &Path, sum: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(Path::new("../../blobs").join(sum), path)
}

/// Symbolic links need a privilege on Windows, where Hugging Face's tools copy the file too.
#[cfg(not(unix))]
fn link(blob: &Path, _: &str, path: &Path) -> std::io::Result<()> {
    fs::copy(blob, path).map(|_| ())
}

/// Downloads a file and returns its SHA-256. It has a temporary name until it is complete and its checksum is verified.
pub(super) fn to_file(url: &str, path: &Path, expected: Option<&str>, progress: Progress<'_>) -> Result<String> {
    let answer = get(url, 10)?;
    if answer.status().as_u16() != 200 {
        return Err(format!("the server answered {}, expected the file", answer.status().as_u16()));
    }
    let folder = path.parent().ok_or("no folder")?;
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = path.with_file_name(format!(".{name}.partial-{}", std::process::id()));
    let written = write(answer, &partial, expected, progress);
    let renamed = written.and_then(|sum| match fs::rename(&partial, path) {
        Ok(()) => Ok(sum),
        Err(e) => Err(format!("{}: {e}", path.display())),
    });
    if renamed.is_err() {
        // A failure to clean up matters less than the error that is returned.
        let _ = fs::remove_file(&partial);
    }
    renamed
}

fn write(answer: Response<Body>, path: &Path, expected: Option<&str>, progress: Progress<'_>) -> Result<String> {
    let here = |e: std::io::Error| format!("{}: {e}", path.display());
    let total = answer.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let mut file = fs::File::create(path).map_err(here)?;
    let mut body = answer.into_body().into_reader();
    let (mut sum, mut done, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 18]);
    loop {
        let n = body.read(&mut buffer).map_err(|e| format!("after {done} bytes: {e}"))?;
        if n == 0 {
            break;
        }
        sum.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(here)?;
        done += n as u64;
        progress(done, total);
    }
    file.sync_all().map_err(here)?;
    if let Some(total) = total.filter(|total| *total != done) {
        return Err(format!("the connection ended after {done} of {total} bytes"));
    }
    let sum = sum.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    });
    match expected {
        Some(expected) if expected != sum => Err(format!("found SHA-256 {sum}, expected {expected}")),
        _ => Ok(sum),
    }
}

fn get(url: &str, redirects: u32) -> Result<Response<Body>> {
    let config = Agent::config_builder()
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .user_agent(concat!("moco-cxr/", env!("CARGO_PKG_VERSION")))
        .build();
    Agent::from(config).get(url).call().map_err(|e| e.to_string())
}
