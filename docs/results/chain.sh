#!/bin/bash
# The whole way on real radiographs: pretrain -> linear -> fine-tune -> predict -> transfer to other films.
#
#   MOCO_CXR_TEST_DATA=DIR docs/results/chain.sh OUT
#
# DIR holds `chexpert-layout` (1,000 NIH ChestX-ray14 images laid out as CheXpert) and `shenzhen-128` (200 Shenzhen films).
# Prints every command with what it prints and the processor seconds it took; see chain.md.
set -euo pipefail
data=${MOCO_CXR_TEST_DATA:?the folder with chexpert-layout and shenzhen-128}
out=${1:?a new folder}
tool=${MOCO_CXR:-target/release/moco-cxr}
mkdir -p "$out"
TIMEFORMAT='[%U s of user time]'

run() {
    echo
    echo "\$ moco-cxr $*" | sed "s#$data#\$MOCO_CXR_TEST_DATA#g; s#$out#OUT#g"
    time "$tool" "$@" 2>&1 | sed "s#$data#\$MOCO_CXR_TEST_DATA#g; s#$out#OUT#g"
}

nih=$data/chexpert-layout
films=$data/shenzhen-128
run pretrain --data "$nih" --preset small --image-size 64 --epochs 6 --seed 0 --out "$out/run"
run linear --data "$nih" --weights "$out/run" --task Pneumonia --fraction 0.1 --fraction 1 --baseline-random --out "$out/linear"
run knn --data "$nih" --weights "$out/run" --task Pneumonia --fraction 0.1 --fraction 1 --quiet --out "$out/knn"
run finetune --data "$nih" --weights "$out/run" --task Pneumonia --epochs 6 --checkpoint top10 --out "$out/finetune"
run finetune --data "$nih" --weights random --arch resnet18 --image-size 64 --task Pneumonia --epochs 6 --checkpoint top10 --quiet --out "$out/finetune-random"
run predict --data "$nih" --part valid --weights "$out/finetune" --ensemble --study-max --quiet --out "$out/valid.csv"
run evaluate "$out/valid.csv"
run predict --data "$films" --weights "$out/finetune" --out "$out/films.csv"
run linear --data "$films" --weights "$out/run" --task Tuberculosis --valid-data "$films" --fraction 0.0625 --fraction 0.25 --fraction 1 --draws 4 --baseline-random --out "$out/transfer-linear"
run finetune --data "$films" --weights "$out/run" --task Tuberculosis --epochs 12 --out "$out/transfer-finetune"
