"""The verb, from files to report, on the small city."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from langocc import cli
from langocc.evaluate.baselines import prior_of, write_prior
from langocc.evaluate.benchmark import read_rows
from langocc.scenes.nuscenes import NuScenes, load
from langocc.teachers.load import load_teacher
from view.live_kit import untrained_run


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
    # Beside its predictions, so that another folder next to it keeps its own.
    report = json.loads((tmp_path / "truth" / "report-occ3d.json").read_text())
    level = report["occupancy"]["levels"][0]
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


def test_several_processes_write_the_report_of_one(
    small_city: Path, predictions: Path, tmp_path: Path
) -> None:
    options = ["--root", small_city, "--pictures", 0]
    assert evaluate("occ3d", predictions, *options, "--out", tmp_path / "1") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "langocc", "evaluate", "occ3d", predictions, *options]
    subprocess.run(
        [str(word) for word in (*command, "--out", tmp_path / "2")],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    one, two = (json.loads((tmp_path / n / "report-occ3d.json").read_text()) for n in "12")
    for report in (one, two):  # the checkout may have moved on between the two
        del report["provenance"]["software"]
    assert one == two


@pytest.mark.slow
def test_a_run_is_predicted_and_every_report_says_where_it_is_from(
    small_city: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    teacher = load_teacher("city-clip").id
    run = untrained_run(tmp_path / "untrained", teacher=teacher)
    assert evaluate("all", run, "--root", small_city, "--save", "--pictures", 1) == 0
    assert evaluate("render", run, "--root", small_city, "--rays", 200) == 0
    for stem in ("report", "report-render"):
        report = json.loads((run / f"{stem}.json").read_text())
        known = report["provenance"]
        assert len(known["checkpoint"]["sha256"]) == 64
        assert known["teacher"] == teacher
        assert known["initialisation"] == "scratch"
        assert known["vocabulary"]
        assert known["config"]["model"]["variant"] == "language"
    (picture,) = json.loads((run / "report.json").read_text())["pictures"].values()
    assert (run / picture).read_bytes().startswith(b"\x89PNG")
    record = run / "predictions" / "val" / "predictions.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"teacher": "another-1234"}))
    capsys.readouterr()
    assert evaluate("retrieval", run, "--root", small_city, "--parts", "val") == 1
    assert "were made with another-1234" in capsys.readouterr().err
    assert evaluate("retrieval", run, "--root", small_city, "--parts", "train", "val") == 1
    assert "the run has no predictions of train yet" in capsys.readouterr().err
    record.write_text(json.dumps(json.loads(record.read_text()) | {"teacher": teacher}))
    assert evaluate("retrieval", run, "--root", small_city) == 0  # what it has: val
    rows = json.loads((run / "report-retrieval.json").read_text())["retrieval"]
    assert {row["part"] for row in rows["rows"]} == {"val"}
    of_val = (run / "report.json").read_bytes()
    assert evaluate("all", run, "--root", small_city, "--save", "--split", "test") == 0
    assert (run / "report.json").read_bytes() == of_val  # that of another split lies beside it
    assert json.loads((run / "report-test.json").read_text())["split"] == "test"


@pytest.mark.slow
def test_baselines_stand_beside_each_other(small_city: Path, tmp_path: Path) -> None:
    assert evaluate("baselines", tmp_path / "b", "--root", small_city) == 0
    names = ["oracle-teacher", "prior", "projected-teacher"]
    assert sorted(place.name for place in (tmp_path / "b").iterdir()) == names
    first, *others = (tmp_path / "b" / name for name in names)
    options = ["--root", small_city, "--beside", *others, "--out", tmp_path, "--pictures", 0]
    assert evaluate("all", first, *options) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    oracle, prior, projected = (report, *report["beside"])
    assert oracle["occupancy"]["levels"][0]["miou_17"] == 100
    assert oracle["provenance"]["initialisation"] == "no model"
    assert prior["provenance"]["vocabulary"] == "city"
    at = [r["retrieval"]["protocols"]["langocc"]["val"]["map"] for r in (oracle, prior, projected)]
    assert at[0] > at[1]
    assert evaluate("baselines", tmp_path / "c", "--root", small_city, "--split", "train") == 0
