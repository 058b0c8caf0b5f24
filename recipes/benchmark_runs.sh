#!/usr/bin/env sh
# SPDX-License-Identifier: Apache-2.0
# Trains and scores the models of docs/results.md on the city benchmark, one after another.
#   sh recipes/benchmark_runs.sh CITY OUT [DEVICE]
# CITY is extracted (recipes/city_benchmark.sh). OUT/NAME is a run, OUT/NAME/scores.json its numbers
# on the split val; what has numbers is kept, what was begun is resumed.
set -e
city=$1 out=$2 device=${3:-cuda}
here=$(dirname "$0")
mkdir -p "$out"

run() {
    name=$1
    shift
    [ -e "$out/$name/scores.json" ] || python "$here/study_run.py" "$city" "$out/$name" \
        --device "$device" --train="$* --batch-size 4 --seed 0 --workers 3 --device $device \
        --sample.cache-bytes 2000000000"
    cat "$out/$name/scores.json"
}

# The published rate is for ten times as many samples.
short="--steps 1200 --schedule.base-lr 5e-4 --schedule.warmup-iterations 100 --average.first-update 0"

run city-tiny --preset tiny --ranges --sample.horizon 4 --steps 2500
run tiny --preset tiny --ranges --steps 3000
run small --preset small --ranges --steps 2400
run full --preset full --quirks none $short
run full-ranges --preset best --steps 1200
[ -e "$out/reducer.safetensors" ] || langocc reduce "$out/reducer.safetensors" --vocabulary city
run reduced --preset reduced --quirks none $short --reducer "$out/reducer.safetensors"
if [ ! -e "$out/no-lidar/done" ]; then
    langocc prepare "$city" --work "$out/no-lidar" --rays grid
    langocc extract "$city" --work "$out/no-lidar" --codec pca-int8 --split train --device "$device"
    touch "$out/no-lidar/done"
fi
run full-grid --preset full --quirks none $short --work "$out/no-lidar"
run reduced-grid --preset reduced --quirks none $short --reducer "$out/reducer.safetensors" \
    --work "$out/no-lidar"
python "$here/oracle_store.py" "$city" "$out/oracle"
run oracle --preset tiny --ranges --sample.horizon 4 --steps 1500 --store "$out/oracle"
