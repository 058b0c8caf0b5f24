#!/usr/bin/env sh
# SPDX-License-Identifier: Apache-2.0
# The city's fixed benchmark, ready to train on: the city, its rays, their teacher features.
#   sh recipes/city_benchmark.sh [OUT] [WORKERS]
# OUT is a new folder or one that was begun: what is finished is kept. WORKERS write a scene each; 0
# takes all cores. Features of test scenes are left out: nothing trains or validates on them.
set -e
out=${1:-runs/city_benchmark/city}
workers=${2:-0}
langocc city "$out" --benchmark 1 --workers "$workers"
langocc prepare "$out" --sky-rays 3000
langocc extract "$out" --teacher city-clip --codec pca-int8 --split train val
