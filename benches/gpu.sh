#!/usr/bin/env bash
# One pretraining step of this project and of PyTorch on the same card, in turn; one JSON object a line on stdout.
# Usage: benches/gpu.sh path/to/moco-cxr [device ...]     (default device: cuda; needs python3 with torch and torchvision)
set -euo pipefail
tool=$1
shift
devices=("${@:-cuda}")
here=$(cd "$(dirname "$0")" && pwd)
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >&2 || true
for arch in resnet18 densenet121; do
  for size in 224 320; do
    for batch in 64 256; do
      for precision in f32 bf16; do
        options=(--arch "$arch" --image-size "$size" --batch-size "$batch" --precision "$precision")
        for device in "${devices[@]}"; do
          "$tool" bench step --json --device "$device" "${options[@]}" | tr -d '\n' || true
          echo
        done
        python3 "$here/pytorch_step.py" "${options[@]}" || true
        python3 "$here/pytorch_step.py" "${options[@]}" --compile || true
      done
    done
  done
done
