#!/usr/bin/env bash
# The tool for machines like this one: a wheel for pip, an archive, and their checksums.
#
#     packaging/build.sh [--gpu] [OUT]     # default: target/packages
#
# --gpu builds with the feature wgpu (Vulkan, DirectX or Metal), as the package moco-cxr-wgpu; that compiles for 20 minutes.
# Needs Rust and maturin (pip install maturin). With CARGO_NET_OFFLINE=true it opens no connection; `cargo fetch --locked`
# gets what it needs beforehand. What runs the result needs the C library of this machine, or a newer one: build on the
# oldest system that is to run it. The name of the wheel tells which (manylinux_2_35: glibc 2.35).
set -euo pipefail
cd "$(dirname "$0")/.."

name=moco-cxr project=. features=()
if [[ ${1:-} == --gpu ]]; then
  name=moco-cxr-wgpu project=packaging/wgpu features=(--features wgpu)
  shift
fi
out=$(realpath -m "${1:-target/packages}")
command -v maturin > /dev/null || { echo "maturin is not there: pip install maturin" >&2; exit 1; }
version=$(cargo pkgid --offline | sed 's/.*[@#]//')
target=$(rustc -vV | sed -n 's/^host: //p')
folder=$name-$version-$target
built=${CARGO_TARGET_DIR:-target}/release/moco-cxr
[[ $target == *windows* ]] && built=$built.exe
mkdir -p "$out"

# The same program for both; maturin finds it built.
cargo build --release --locked --package moco-cxr --bin moco-cxr "${features[@]}"
(cd "$project" && maturin build --release --out "$out")

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/$folder"
cp "$built" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$stage/$folder/"
tar -C "$stage" -czf "$out/$folder.tar.gz" "$folder"
(cd "$out" && sha256sum -- "$folder.tar.gz" "${name//-/_}-$version"-*.whl > "$folder.sha256")
ls -l "$out"
