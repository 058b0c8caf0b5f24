#!/usr/bin/env sh
# SPDX-License-Identifier: Apache-2.0
# Trains the CLIP that comes with the package, from nothing, on one GPU and sixteen CPU cores:
# eight minutes, no network. It prints a table; report.json and views.png hold the figures.
set -e
out=${1:-runs/city_clip}
python -m langocc.teachers.city_clip.train --out "$out" --minutes 8 --workers 16
weights=$(python -c "from langocc.teachers.load import CITY_CLIP_FOLDER; print(CITY_CLIP_FOLDER)")
mkdir -p "$weights"
for name in model.safetensors config.json tokenizer.json tokenizer_config.json log.jsonl report.json; do
  cp "$out/$name" "$weights/$name"
done
