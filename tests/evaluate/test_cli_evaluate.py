"""The verb, from files to report, on the small city."""

import json
from pathlib import Path

import numpy as np
import pytest

from langocc import cli
from langocc.evaluate.baselines import prior_of, write_prior
from langocc.evaluate.benchmark import read_rows
from langocc.scenes.nuscenes import NuScenes, load


@pytest.fixture(scope="module")
def dataset(small_city: Path) -> NuScenes:
    return load(small_city)


@pytest.fixture(scope="module")
def predictions(dataset: NuScenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prior's answers, in a made-up text space of 17 dimensions."""
    folder = tmp_path_factory.mktemp("prior") / "predictions"
    prior = prior_of(list(dataset.frames("train")), dataset.folders.occ3d_label)
    write_prior(prior, list(dataset.frames()), folder, np.eye(17, dtype=np.float32), range(17))
    return folder


def evaluate(*arguments: object) -> int:
    return cli.run(["evaluate", *map(str, arguments)])


def test_occupancy_and_ray_iou_of_the_prior(
    small_city: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for what in ("occ3d", "rayiou"):
        out = tmp_path / what
        assert evaluate(what, predictions, "--root", small_city, "--out", out) == 0
        assert (out / "worst").is_dir() == (what == "occ3d")
        assert f"report-{what}.json" in capsys.readouterr().out.replace("\n", "")
    occupancy = json.loads((tmp_path / "occ3d" / "report-occ3d.json").read_text())["occupancy"]
    (level,) = occupancy["levels"]
    assert (occupancy["mask"], occupancy["frames"], level["threshold"]) == (
        "camera",
        4,
        "as saved (not stated)",
    )
    assert 0 < level["miou_17"] < 60
    assert 0 < level["occupied_iou"] < 100
    assert np.array(level["confusion"]).sum() == level["voxels"]
    rays = json.loads((tmp_path / "rayiou" / "report-rayiou.json").read_text())["rayiou"]
    assert 0 < rays["at"][0] <= rays["at"][1] <= rays["at"][2] < 100


def test_the_truth_as_a_prediction_scores_100(
    dataset: NuScenes, small_city: Path, tmp_path: Path
) -> None:
    from langocc.evaluate.labels import read_label
    from langocc.evaluate.predictions import Prediction, write_prediction

    for frame in dataset.frames("val"):
        label = read_label(dataset.folders.occ3d_label(frame))
        write_prediction(tmp_path / "truth", frame.token, Prediction(label.semantics))
    assert evaluate("occ3d", tmp_path / "truth", "--root", small_city, "--mask", "none") == 0
    level = json.loads((tmp_path / "report-occ3d.json").read_text())["occupancy"]["levels"][0]
    assert (level["miou_17"], level["miou_15"], level["occupied_iou"]) == (100, 100, 100)


def test_retrieval_rows_of_the_city_fit_its_points(
    dataset: NuScenes, predictions: Path, small_city: Path
) -> None:
    from langocc.evaluate.lookup import frame_lookup
    from langocc.evaluate.retrieval import evaluate_retrieval

    rows = read_rows(dataset.folders.retrieval)
    assert rows
    generator = np.random.default_rng(0)
    vectors = {row.query: generator.standard_normal(17) for row in rows}
    result = evaluate_retrieval(predictions, rows, frame_lookup(dataset), vectors)
    assert not result.faults
    assert len(result.rows) == 2 * len(rows)
    scored = [row for row in result.rows if row.positives]
    assert scored
    assert all(row.positives <= row.points and 0 < row.ap <= 100 for row in scored)


def test_faults_end_with_one_and_name_the_frame(
    small_city: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "none").mkdir()
    assert evaluate("occ3d", tmp_path / "none", "--root", small_city) == 1
    said = capsys.readouterr().err
    assert "4 of 4 cannot be evaluated" in said
    assert "no prediction for frame" in said
    assert evaluate("occ3d", tmp_path / "nowhere", "--root", small_city) == 1
    assert "expected a folder of <token>.npz predictions" in capsys.readouterr().err


def test_a_run_stands_for_its_predictions(
    small_city: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    assert evaluate("occ3d", run, "--root", small_city) == 1
    assert "the run has no predictions of val yet" in capsys.readouterr().err
    (run / "predictions").mkdir()
    (run / "predictions" / "val").symlink_to(predictions)
    assert evaluate("occ3d", run, "--root", small_city, "--out", tmp_path / "out") == 0
