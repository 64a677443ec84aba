#!/usr/bin/env bash
# Installs a wheel into a new virtual environment, without a package index, and uses it from an empty folder.
#
#     packaging/test-wheel.sh WHEEL [--quickstart]     # --quickstart: to its table, about a minute and a half
set -euo pipefail
wheel=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-index "$wheel"
cd "$work"
tool=$work/venv/bin/moco-cxr
"$tool" --version
"$tool" devices
if [[ ${2:-} == --quickstart ]]; then
  "$tool" quickstart --out first --quiet | tee table.txt
  grep -q '| 1 %' table.txt
  test -s first/run/report.html
else
  "$tool" synth --out drawn --size 32 --train-patients 8 --valid-patients 2 --test-patients 2
  "$tool" audit --data drawn
fi
