# SPDX-License-Identifier: Apache-2.0
"""Draws the feature loss of runs over their steps; needs matplotlib.

    python recipes/loss_curves.py OUT.png "bf16=fast0,fast1" "fp32=exact0,exact1"

Runs of `langocc train --log-steps 1`. The exact ones of docs/performance.md were made with
`--precision fp32 --model.cost-volume readable --model.splat readable --render.implementation
readable`.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

WINDOW = 25
"""Steps of a mean: batches of one sample make single losses noisy."""


def main() -> None:
    """Draws and writes the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("groups", nargs="+", help="name=RUN,RUN,...: runs drawn in one colour")
    options = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7, 4), dpi=110)
    colours = ("#d1495b", "#00798c", "#edae49", "#30638e")
    for group, colour in zip(options.groups, colours, strict=False):
        name, runs = group.split("=")
        for number, run in enumerate(runs.split(",")):
            lines = (Path(run) / "metrics.jsonl").read_text().splitlines()
            losses = np.array([json.loads(line)["feature"] for line in lines])
            means = losses[: len(losses) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1)
            steps = WINDOW * (np.arange(len(means)) + 0.5)
            style = ("-", "--", ":", "-.")[number % 4]
            axes.plot(steps, means, style, color=colour, label=f"{name}, run {number + 1}")
    axes.set(xlabel="step", ylabel=f"feature loss, mean of {WINDOW} steps", ylim=(0.7, 2.0))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(options.picture)


if __name__ == "__main__":
    main()
