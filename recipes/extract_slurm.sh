#!/usr/bin/env sh
# SPDX-License-Identifier: Apache-2.0
# Teacher features of a prepared data root by a Slurm array, one GPU a task:
#   sbatch --array=0-15 recipes/extract_slurm.sh ROOT WORK --teacher openai/clip-vit-base-patch16
# Each task does every n-th scene (it reads the array's index and size). ROOT and WORK lie on a file
# system that all nodes see. A task that was killed, or the whole array, is submitted again as it
# was: finished scenes are skipped, and the files end up the same.
#SBATCH --job-name=langocc-extract
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --output=extract-%A-%a.log
set -e
root=$1
work=$2
shift 2
langocc extract "$root" --work "$work" --readers 8 "$@"
