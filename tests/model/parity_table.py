"""Prints how far each array is from its recording, as Markdown.

Differences and tolerances are shares of the array's largest recorded value; an entry may be off by
a further 1e-4 of itself.

Usage: python tests/model/parity_table.py ../shared/parity
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STAGES = ("backbone", "geometry", "depth", "ranks", "voxel", "bev", "decoder")
FILES = (*(f"stage_{stage}" for stage in STAGES), "inference", "classes", "reduced", "ops")
RELATIVE = 1e-4
ABSOLUTE = 1e-5
"""Of the largest recorded value. Two runs of the recording itself, with other convolution
algorithms, differ by up to 5e-6 of it; see README and tolerance.json beside the arrays."""
FLIPS = {
    "points_per_voxel": 8,  # points on a voxel's border
    "num": 1,  # and with them the count of occupied voxels
    "cost_volume": 11,  # a pixel whose one zero tap decides whether it is invalid
    "occupancy": 8,  # ties of two prompts, densities at the threshold
    "free_space_packed": 8,
}
"""Entries that may differ at will, by a part of the array's name: discrete decisions."""


@dataclass(frozen=True)
class Comparison:
    """One array against its recording."""

    name: str
    largest: float
    """Largest difference, as a share of the largest recorded value."""
    outside: int
    """Entries beyond the tolerance."""
    flips: int
    """Entries that may be beyond it."""
    size: int

    @property
    def is_equal(self) -> bool:
        return self.outside <= self.flips


def compare(name: str, ours: np.ndarray, recorded: np.ndarray) -> Comparison:
    if name.endswith("sum_ranks_depth_total"):
        recorded = recorded[:1]  # the second entry is not documented
    if ours.shape != recorded.shape:
        raise AssertionError(f"{name}: expected shape {recorded.shape}, got {ours.shape}")
    ours, recorded = ours.astype(np.float64), recorded.astype(np.float64)
    difference, scale = np.abs(ours - recorded), np.abs(recorded).max()
    is_within = difference <= RELATIVE * np.abs(recorded) + ABSOLUTE * scale  # false for NaN
    flips = next((count for part, count in FLIPS.items() if part in name), 0)
    largest = float(difference.max() / scale)
    return Comparison(name, largest, int((~is_within).sum()), flips, ours.size)


def recorded_array(parity_dir: Path, name: str) -> np.ndarray:
    file, array = name.split(":")
    return np.load(parity_dir / f"{file}.npz")[array]


def main(parity_dir: Path) -> None:
    from parity_kit import run_networks
    from parity_ops import run_ops

    print("| array | entries | largest difference | tolerance | entries beyond it | allowed |")
    print("|---|---|---|---|---|---|")
    for name, ours in (run_networks(parity_dir) | run_ops(parity_dir)).items():
        row = compare(name, ours, recorded_array(parity_dir, name))
        print(
            f"| {name} | {row.size} | {row.largest:.1e} | {ABSOLUTE:.0e} | {row.outside} | "
            f"{row.flips} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
