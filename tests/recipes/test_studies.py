# SPDX-License-Identifier: Apache-2.0
"""Studies: every word is understood, results become tables and pictures, time is kept."""

import json
import shlex
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from langocc.cli.extract import Extract
from langocc.cli.prepare import Prepare
from langocc.cli.reduce import Reduce
from langocc.cli.train import Train
from langocc.cli.vocab import Vocab
from langocc.train.config import config_as_dict

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))
import studies
from study_table import Scores, draw, read_rows, table, write_study

OPTIONS = Namespace(
    city=Path("city"),
    out=Path("out dir"),
    preset="tiny",
    steps=100,
    batch=4,
    loaders=0,
    device="cpu",
    base="",
    scoring="",
    sky_rays=300,
)
VERBS = {"prepare": Prepare, "extract": Extract, "reduce": Reduce, "vocab": Vocab}
SCORES = Scores(0.2, 40.0, 38.0, 12.0, 13.0, 20.0, 9.0, 10.0, 15.0, 3.0, 0.5)


@pytest.mark.parametrize("study", studies.STUDIES)
def test_variants_are_understood_and_no_two_are_the_same(study):
    """What a variant adds changes the settings of the training, or what it trains on."""
    seen = set()
    for variant in studies.STUDIES[study]:
        task = studies.task_of(OPTIONS, study, variant, 0)
        words = studies.filled(OPTIONS, task.words)
        command = Train.parse(["city", "--run", "run", *words])
        assert command.config.steps == 100
        settings = json.dumps([config_as_dict(command.config), str(command.work)])
        assert settings not in seen
        seen.add(settings)


def test_the_base_is_one_run_for_all_studies():
    first = [next(iter(variants)) for variants in studies.STUDIES.values()]
    pairs = zip(studies.STUDIES, first, strict=True)
    assert len({studies.task_of(OPTIONS, study, variant, 1) for study, variant in pairs}) == 1


def test_what_variants_name_can_be_made():
    named = {
        name
        for study, variants in studies.STUDIES.items()
        for variant in variants
        for name in studies.needs(studies.task_of(OPTIONS, study, variant, 0))
    }
    assert named == set(studies.MADE)
    for commands in studies.MADE.values():
        for command in commands:
            verb, *words = shlex.split(command.format(city="city", here="here", sky=300))
            tyro.cli(VERBS[verb], args=words)


def test_missing_runs_are_counted_and_drawn(tmp_path):
    rows = {
        "base": [SCORES, replace(SCORES, iou=42.0)],
        "colours": [replace(SCORES, miou_17=None, retrieval=None), None],
        "late": [None, None],
    }
    text = write_study(tmp_path, "loss", rows).splitlines()
    assert text[2].startswith("| base | 2 | 0.2, 0.2 | 40.0 (4.0) | 12.0 (0.0) |")
    assert text[3].startswith("| colours | 1 of 2 | 0.2 | 38.0 |  | 13.0 |")
    assert text[4].startswith("| late | 0 of 2 |")
    assert read_rows(tmp_path / "loss.json") == rows
    assert table("loss", read_rows(tmp_path / "loss.json")).splitlines() == text


def test_a_bar_is_as_long_as_its_mean(tmp_path):
    """The dark bar of the base, twice as long as the light one below it."""
    pytest.importorskip("matplotlib")
    draw(tmp_path / "x.png", "x", {"base": [SCORES], "half": [replace(SCORES, iou=19.0)]})
    picture = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).astype(int)
    lengths = []
    for colour in ((0x4A, 0x6F, 0xA5), (0xA9, 0xBC, 0xD6)):
        rows = np.abs(picture - colour).max(-1) < 3
        starts = rows.argmax(1)  # the bar of the leftmost panel, in rows beside the dot
        ends = [int((~row[start:]).argmax()) for row, start in zip(rows, starts, strict=True)]
        lengths.append(max(ends))
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.03)


def test_a_command_that_does_not_fit_into_the_time_is_ended(tmp_path):
    start = time.monotonic()
    wait = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert not studies.finishes(wait, tmp_path / "log", start + 1.0)
    assert time.monotonic() - start < 20
    assert "time is up" in (tmp_path / "log").read_text()
    assert not studies.finishes(wait, tmp_path / "log", start)  # not even begun
    assert studies.finishes([sys.executable, "-c", ""], tmp_path / "log", float("inf"))
    assert not studies.finishes([sys.executable, "-c", "1 / 0"], tmp_path / "log", float("inf"))


def test_scores_of_another_training_are_refused(tmp_path):
    assert studies.scores_of(tmp_path, "--steps 5") is None
    record = {"words": "--steps 5", "scores": vars(SCORES)}
    (tmp_path / "scores.json").write_text(json.dumps(record))
    assert studies.scores_of(tmp_path, "--steps 5") == SCORES
    with pytest.raises(SystemExit, match="--steps 5"):
        studies.scores_of(tmp_path, "--steps 6")
