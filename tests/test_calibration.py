"""Thresholds from LiDAR sweeps: what a sweep sees, the best level, and which verbs follow it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import langocc
from langocc import cli
from langocc.calibration import calibrate, seen_by_lidar, spread
from langocc.errors import DataError
from langocc.evaluate.labels import read_label
from langocc.field import VoxelField
from langocc.geometry.grid import OCC3D_GRID
from langocc.model.langocc import LangOcc
from langocc.predictor import THRESHOLD, Predictor
from langocc.presets import TINY
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes, load
from langocc.scenes.occ3d import FREE_ID
from view.live_kit import untrained_run


@pytest.fixture(scope="module")
def city(small_city: Path) -> NuScenes:
    return load(small_city)


def occupied(city: NuScenes, frame: Frame) -> np.ndarray:
    path = city.folders.occ3d_label(frame)
    assert path is not None
    return read_label(path).semantics != FREE_ID


def test_a_sweep_agrees_with_labels(city):
    """Points lie on surfaces, so noise may put one into the voxel beside."""
    frame = next(city.frames("val"))
    hit, passed = seen_by_lidar(frame, OCC3D_GRID)
    truth = occupied(city, frame)
    assert hit.sum() > 500
    assert passed.sum() > 5000
    assert not (hit & passed).any()
    assert truth[hit].mean() > 0.8
    assert truth[passed].mean() < 0.05


class Labelled(Predictor):
    """Says 37 % of its highest density where labels are, and 12 % elsewhere."""

    def field(self, dataset: Any, token: str, reader: Any = None) -> VoxelField:
        truth = torch.from_numpy(occupied(dataset, dataset.frame(token)))
        density = 0.12 + 0.25 * truth[None].float()
        return VoxelField(OCC3D_GRID, density, torch.zeros(*density.shape, 1))


def test_the_best_level_lies_between_free_and_occupied(city):
    cpu = torch.device("cpu")
    model = Labelled(LangOcc(TINY.model), TINY, {}, {"sha256": "0"}, cpu)
    frames = spread(list(city.frames("val")), 2)
    found = calibrate(model, city, frames)
    assert found.frames == len(frames)
    assert 0.12 < found.threshold <= 0.37
    assert found.iou[0] < max(found.iou)
    assert found.iou[-1] == 0


def test_predictors_follow_what_was_found_for_their_weights(small_city, tmp_path, capsys):
    run = untrained_run(tmp_path / "run", teacher="none", initial="scratch", preset="tiny")
    before = Predictor.load(run).threshold
    words = ["calibrate", str(run), "--root", str(small_city), "--frames", "1", "--device", "cpu"]
    assert cli.run(words) == 0
    assert "threshold:" in capsys.readouterr().out
    found = Predictor.load(run).threshold
    assert found != before
    checkpoint = next((run / "checkpoints").glob("*.safetensors"))
    assert Predictor.load(checkpoint).threshold == found
    langocc.save_pretrained(Predictor.load(run), tmp_path / "folder")
    assert Predictor.load(tmp_path / "folder").threshold == found
    text = (run / THRESHOLD).read_text()
    (run / THRESHOLD).write_text(text.replace('"checkpoint": "', '"checkpoint": "of others '))
    assert Predictor.load(run).threshold == before
    (run / THRESHOLD).write_text("{")
    with pytest.raises(DataError, match=r"threshold\.json: damaged"):
        Predictor.load(run)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--frames", "0"], "frames: expected"), ([], "expected a run folder")],
)
def test_what_cannot_be_calibrated_is_refused(words, message, small_city, tmp_path, capsys):
    assert cli.run(["calibrate", str(tmp_path), "--root", str(small_city), *words]) == 1
    assert message in capsys.readouterr().err
