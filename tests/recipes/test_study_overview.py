"""The picture of all studies: what counts as chance, and what is coloured."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))
import study_overview as overview
from study_table import Scores

RUN = Scores(0.2, 40.0, 40.0, 7.0, 7.5, 6.0, 13.0, 14.0, 20.0, 3.0, 1.0)
OTHER = replace(RUN, iou=50.0)


@pytest.mark.parametrize(
    ("known", "more_is_better", "colour"),
    [
        ([51.0, 60.0], True, overview.BETTER),
        ([51.0, 60.0], False, overview.WORSE),
        ([10.0, 20.0], True, overview.WORSE),
        ([10.0, 20.0], False, overview.BETTER),
        ([51.0, 45.0], True, overview.ALIKE),
        ([30.0, 60.0], True, overview.ALIKE),  # outside of the band, but to both sides
        ([60.0], True, overview.ALIKE),  # one run says nothing
    ],
)
def test_only_what_is_outside_of_chance_in_every_run_is_coloured(known, more_is_better, colour):
    assert overview.colour_of(known, (40.0, 50.0), more_is_better) == colour


def test_a_run_of_the_base_counts_once():
    studies = {"a": {"off": [RUN, OTHER], "on": [RUN]}, "b": {"0": [RUN, None], "1": [None]}}
    assert overview.base_of(studies) == [RUN, OTHER]


def test_the_picture_has_a_green_line_for_what_is_better(tmp_path):
    pytest.importorskip("matplotlib")
    better = [replace(RUN, iou=70.0), replace(RUN, iou=80.0)]
    rows = {"off": [RUN, OTHER], "on": better, "none": [replace(RUN, iou=45.0), OTHER]}
    overview.draw_overview(tmp_path / "x.png", {"a": rows})
    picture = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).astype(int)
    green = np.abs(picture - (0x1A, 0x7F, 0x4B)).max(-1) < 8
    columns = np.flatnonzero(green.any(0))
    assert columns.min() > 0
    assert columns.max() < picture.shape[1] / 2  # in the first panel alone
