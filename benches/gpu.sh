#!/usr/bin/env bash
# What one card has to show, in at most 12 minutes: devices, self-test, parity, steps beside PyTorch, time by kernel, and a real
# pretraining. Usage: benches/gpu.sh path/to/moco-cxr OUT      (a ready binary with cuda, vulkan and kernel-cache; python3 with
# torch and torchvision for the comparison). A binary with cudnn is measured with and without it, if `moco-cxr devices` finds it:
# set LD_LIBRARY_PATH to PyTorch's nvidia/cudnn/lib. OUT/gpu.md is a page for docs/results, OUT/*.json what it is made of; those of
# an earlier run are removed first.
set -uo pipefail
tool=$(realpath "$1")
out=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
begin=$SECONDS
limit=${GPU_SECONDS:-720}
# What is tuned and compiled is kept beside the results: a second run goes on where the time ended.
export MOCO_CXR_CACHE=${MOCO_CXR_CACHE:-$out/cache}

# run SECONDS FILE COMMAND...: at most so long, and not beyond the whole; what it prints goes to FILE, what fails is said.
run() {
  local seconds=$1 file=$2 left=$((limit - (SECONDS - begin)))
  shift 2
  [ "$left" -lt "$seconds" ] && seconds=$left
  if [ "$seconds" -lt 5 ]; then
    echo "not run, no time left: $*" | tee -a "$out/left-out.txt"
    return 1
  fi
  local start=$SECONDS
  timeout -k 10 "$seconds" "$@" > "$out/$file" 2> "$out/$file.log"
  local status=$?
  echo "$((SECONDS - begin)) s: $file in $((SECONDS - start)) s, status $status"
  [ $status -ne 0 ] && echo "status $status after $((SECONDS - start)) s: $*" >> "$out/left-out.txt"
  return $status
}

# No number of an earlier run may pass for one of this.
rm -f "$out"/{ours,cudnn,eager,compiled}-*.json{,.log} "$out"/parity-{cuda,bf16,cudnn,vulkan}.txt{,.log} "$out"/{devices,synth,pretrain}.txt{,.log} \
  "$out"/{left-out.txt,card.txt,busy.csv,gpu.md}
rm -rf "$out/run"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader > "$out/card.txt" 2>/dev/null
run 30 devices.txt "$tool" devices
cudnn=$(grep -o "convolutions by cuDNN [0-9.]*" "$out/devices.txt" | head -1)
# Its kernels are this project's, unless cuDNN is what is measured.
export MOCO_CXR_CUDNN=off
# Steps first: they are what cannot be had without the card.
for setting in "resnet18 256" "densenet121 64" "resnet18 64" "densenet121 256"; do
  read -r arch batch <<< "$setting"
  for precision in bf16 f32; do
    options=(--arch "$arch" --image-size 224 --batch-size "$batch" --precision "$precision")
    name=$arch-$batch-$precision
    run 110 "ours-$name.json" "$tool" bench step --device cuda --no-selftest --warmup 3 --steps 15 --trace --json "${options[@]}"
    if [ -n "$cudnn" ]; then
      run 110 "cudnn-$name.json" env MOCO_CXR_CUDNN=on "$tool" bench step --device cuda --no-selftest --warmup 3 --steps 15 --json "${options[@]}"
    fi
    run 40 "eager-$name.json" python3 "$here/pytorch_step.py" --steps 15 "${options[@]}"
    run 60 "compiled-$name.json" python3 "$here/pytorch_step.py" --steps 15 --compile "${options[@]}"
  done
done
run 90 parity-cuda.txt "$tool" parity --device cuda
run 90 parity-bf16.txt "$tool" parity --device cuda --self-test --precision bf16
[ -n "$cudnn" ] && run 90 parity-cudnn.txt env MOCO_CXR_CUDNN=on "$tool" parity --device cuda
run 90 parity-vulkan.txt "$tool" parity --device vulkan
run 60 ours-vulkan.json "$tool" bench step --device vulkan --no-selftest --warmup 3 --steps 10 --trace --json --arch resnet18 --image-size 224 --batch-size 64
# A real pretraining, with how busy the card is.
if [ ! -e "$out/films" ]; then
  run 60 synth.txt "$tool" synth --out "$out/films" --train-patients 1000 --size 256
fi
nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits -lms 250 > "$out/busy.csv" 2>/dev/null &
watcher=$!
run 150 pretrain.txt "$tool" pretrain --data "$out/films" --preset moco-cxr --init random --image-size 224 --batch-size 256 --moco-k 1024 \
  --epochs 30 --set data.in_memory=true --device cuda --out "$out/run"
kill "$watcher" 2>/dev/null

python3 - "$out" <<'PYTHON'
import collections, json, pathlib, sys

out = pathlib.Path(sys.argv[1])


def read(name):
    try:
        return json.loads((out / name).read_text())
    except (OSError, ValueError):
        return None


def text(name):
    try:
        return (out / name).read_text(errors="replace")
    except OSError:
        return ""


def by_cudnn(found):
    # How many passes of convolutions cuDNN took: a rate is its own only if that is all of them.
    used = found and found.get("cudnn")
    return f"{used['passes']} of {used['passes'] + used['elsewhere']}" if used else "-"


lines = ["# A card, measured by benches/gpu.sh", "", text("card.txt").strip(), ""]
lines += ["| step, 224 px | ours, images/s | with cuDNN | passes by cuDNN | PyTorch eager | compiled | ours / eager | launches | device ms by kernel | device memory |"]
lines += ["|---|---|---|---|---|---|---|---|---|---|"]
reasons = []
for arch, batch in [("resnet18", 256), ("resnet18", 64), ("densenet121", 256), ("densenet121", 64)]:
    for precision in ["bf16", "f32"]:
        name = f"{arch}-{batch}-{precision}.json"
        ours, cudnn, eager, compiled = (read(f"{kind}-{name}") for kind in ["ours", "cudnn", "eager", "compiled"])
        rate = lambda found: f"{found['images_per_s']:.0f}" if found else "-"
        ratio = f"{ours['images_per_s'] / eager['images_per_s']:.2f}" if ours and eager else "-"
        kernels = ours["kernels"] if ours else []
        launches = sum(kernel["launches"] for kernel in kernels)
        device = sum(kernel["device_ms"] or 0 for kernel in kernels)
        memory = f"{ours['device_bytes'] / 1e9:.1f} GB" if ours and ours["device_bytes"] else "-"
        lines.append(f"| {arch} b{batch} {precision} | {rate(ours)} | {rate(cudnn)} | {by_cudnn(cudnn)} | {rate(eager)} | {rate(compiled)} | {ratio} | {launches} | {device:.1f} | {memory} |")
        reason = ((cudnn or {}).get("cudnn") or {}).get("reason")
        if reason:
            reasons += ["", f"Not by cuDNN in {arch} b{batch} {precision}, the first: {reason}."]
lines += reasons
for path in sorted(out.glob("ours-*.json")):
    ours = read(path.name)
    if not ours:
        continue
    phases = ", ".join(f"{phase} {ms:.1f}" for phase, ms in ours["phases_ms"].items())
    lines += ["", f"## {path.stem.removeprefix('ours-')}", "", f"Step {ours['step_ms']:.1f} ms, first step {ours['first_step_s']:.1f} s; ms of parts: {phases}.", ""]
    lines += ["| part | kernel | launches | ms |", "|---|---|---|---|"]
    for kernel in sorted(ours["kernels"], key=lambda kernel: -(kernel["device_ms"] or 0))[:15]:
        lines.append(f"| {kernel['phase']} | {kernel['kernel'][:70]} | {kernel['launches']} | {kernel['device_ms'] or 0:.2f} |")
busy = []
for line in text("busy.csv").splitlines():
    try:
        use, memory = map(float, line.split(","))
    except ValueError:
        # "[N/A]", or a line cut by the end of nvidia-smi.
        continue
    busy.append((use, memory))
if busy:
    working = [use for use, _ in busy if use > 0]
    lines += ["", f"A real pretraining: the card was busy {sum(use for use, _ in busy) / len(busy):.0f} % of the whole program, "
              f"{sum(working) / max(len(working), 1):.0f} % of the samples that were not 0; at most {max(mb for _, mb in busy):.0f} MiB."]
rows = text("run/metrics.jsonl").splitlines()
if rows:
    lines += ["", f"{len(rows)} lines of metrics, the last: `{rows[-1][:300]}`"]
if text("left-out.txt"):
    lines += ["", "Left out or failed:", "", text("left-out.txt")]
(out / "gpu.md").write_text("\n".join(lines) + "\n")
print("\n".join(lines[:14]))
PYTHON
