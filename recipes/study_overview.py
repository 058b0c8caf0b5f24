# SPDX-License-Identifier: Apache-2.0
"""All variants of all studies of a folder in one picture, beside what chance alone does.

    python recipes/study_overview.py OUT overview.png

OUT holds the STUDY.json of recipes/studies.py. A dot is a run; the band is what runs of the base
span. A variant of which every run (two or more) lies outside of the band has dots in colour.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from study_table import Rows, Scores, read_rows, values

PANELS = {"IoU": True, "mIoU 17": True, "RayIoU": True, "mAP": True, "depth error": False}
"""Columns, and whether more is better."""
BETTER, WORSE, ALIKE = "#1a7f4b", "#b3372f", "#7c8797"


def main() -> None:
    """Reads, draws."""
    folder, picture = (Path(word) for word in sys.argv[1:3])
    draw_overview(picture, {path.stem: read_rows(path) for path in sorted(folder.glob("*.json"))})


def base_of(studies: dict[str, Rows]) -> list[Scores]:
    """Runs of the base, which is the first variant of every study, each once."""
    runs = (run for rows in studies.values() for run in next(iter(rows.values())))
    return list(dict.fromkeys(run for run in runs if run is not None))


def colour_of(known: Sequence[float], band: tuple[float, float], more_is_better: bool) -> str:
    """Of a variant's dots: coloured where no run lies within the band."""
    low, high = band
    above, below = all(v > high for v in known), all(v < low for v in known)
    if len(known) < 2 or not (above or below):
        return ALIKE
    return BETTER if above == more_is_better else WORSE


def draw_overview(path: Path, studies: dict[str, Rows]) -> None:
    """A panel per number, a line per variant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    base = base_of(studies)
    lines = [
        (study, variant, runs)
        for study, rows in studies.items()
        for variant, runs in list(rows.items())[1:]
    ]
    figure = Figure(figsize=(13, 1.0 + 0.24 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    for (column, is_more), axes in zip(
        PANELS.items(), figure.subplots(1, len(PANELS), sharey=True), strict=True
    ):
        chance = values(base, column)
        axes.axvspan(min(chance), max(chance), color="#dfe6f2", lw=0)
        axes.axvline(sum(chance) / len(chance), color="#4a6fa5", lw=1)
        for place, (_, _, runs) in enumerate(lines):
            known = values([run for run in runs if run is not None], column)
            if known:
                colour = colour_of(known, (min(chance), max(chance)), is_more)
                axes.plot(known, [place] * len(known), "o-", c=colour, ms=4.5, lw=1, mew=0)
        for place in range(1, len(lines)):
            if lines[place][0] != lines[place - 1][0]:
                axes.axhline(place - 0.5, color="0.85", lw=0.8)
        axes.set_title(f"{column}, %", fontsize=10)
        axes.set_yticks(range(len(lines)), [f"{study}: {variant}" for study, variant, _ in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"dot = run; band and line: lowest, highest and mean of {len(base)} runs of the base; "
        "green, red: better, worse than all of them in every run",
        fontsize=10,
    )
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
