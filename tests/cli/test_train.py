"""`langocc train` as typed: settings, typos, the dry run, the board, several processes."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from langocc import cli
from langocc.cli.train import Train
from langocc.cli.train_display import fit_with_progress, state_line
from langocc.presets import PRESETS, TINY, with_quirks
from langocc.train.checkpoint import load_checkpoint, newest_checkpoint
from langocc.train.loop import Progress, Training

QUICK = ["--preset", "tiny", "--sample.rays", "128", "--sample.cache-bytes", "0"]
QUICK += ["--batch-size", "2", "--steps", "3", "--log-steps", "1", "--checkpoint-steps", "2"]
QUICK += ["--schedule.base-lr", "1e-6"]


def printed_config(line: list[str], capsys) -> dict:
    assert cli.run(["train", "ROOT", "--run", "RUN", "--print-config", *line]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path, capsys):
    file = tmp_path / "settings.yaml"
    file.write_text("batch_size: 3\nloss: {opacity_weight: 0.7, movable: drop}\n")
    line = ["--preset", "tiny", "--settings", str(file), "--loss.opacity-weight", "0.9"]
    config = printed_config(line, capsys)
    assert config["batch_size"] == 3
    assert config["loss"]["opacity_weight"] == 0.9
    assert config["loss"]["movable"] == "drop"
    assert config["steps"] == TINY.steps


def test_what_is_printed_can_be_read_back(tmp_path, capsys):
    file = tmp_path / "settings.yaml"
    first = printed_config(["--preset", "reduced", "--seed", "5"], capsys)
    file.write_text(yaml.safe_dump(first))
    assert printed_config(["--preset", "tiny", "--settings", str(file)], capsys) == first


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_ranges_are_one_switch_on_any_preset(preset, capsys):
    plain = printed_config(["--preset", preset], capsys)
    config = printed_config(["--preset", preset, "--ranges"], capsys)
    assert config["sample"]["ranges"]
    assert config["loss"]["surface_weight"] > 0
    assert (config == plain) == (preset == "best")
    assert printed_config(["--preset", preset, "--no-ranges"], capsys) == plain


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_have_all_quirks_or_none(preset):
    """The published recipes have them; network and samples agree."""
    quirks = "published" if preset in ("full", "reduced", "rgb") else "none"
    assert with_quirks(PRESETS[preset], quirks) == PRESETS[preset]


@pytest.mark.parametrize("quirks", ["published", "none"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_quirks_are_one_switch_on_any_preset(preset, quirks, capsys):
    plain = printed_config(["--preset", preset], capsys)
    config = printed_config(["--preset", preset, "--quirks", quirks], capsys)
    is_published = quirks == "published"
    assert set(config["model"].pop("quirks").values()) == {is_published}
    assert config["sample"].pop("swap_rgb") == is_published
    assert config["sample"].pop("intrinsics") == ("key" if is_published else "own")
    for part, names in (("model", ["quirks"]), ("sample", ["swap_rgb", "intrinsics"])):
        for name in names:
            del plain[part][name]
    assert config == plain


@pytest.mark.parametrize(
    "option", ["--loss.opacity-wait", "--bach-size", "--model.head.density-skale"]
)
def test_a_typo_on_the_command_line_is_a_usage_error(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run(["train", "ROOT", "--run", "RUN", option, "1"])
    assert stopped.value.code == 2
    assert option in "".join(capsys.readouterr())


@pytest.mark.parametrize("text", ["bach_size: 1\n", "model: {head: {density_skale: 1}}\n"])
def test_a_typo_in_a_file_is_an_error(tmp_path, capsys, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert cli.run(["train", "ROOT", "--run", "RUN", "--settings", str(file)]) == 1
    assert "skale" in (found := capsys.readouterr().err) or "bach_size" in found
    assert "settings.yaml" in found


def test_a_missing_tensorboard_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    from langocc.errors import ConfigError
    from langocc.view.training_board import summary_writer

    with pytest.raises(ConfigError, match=r"pip install 'langocc\[tensorboard\]'"):
        summary_writer(Path("unused"), 0)


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--", "langocc"]


def run(*words: object, program: Sequence[str] = ("langocc",)) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *program, *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def work(small_city, tmp_path_factory) -> Path:
    """The small city with features."""
    folder = tmp_path_factory.mktemp("work")
    for words in (
        ["prepare", small_city, "--work", folder, "--sky-rays", 100],
        ["extract", small_city, "--work", folder, "--codec", "pca-int8", "--components", 16],
    ):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_dry_run_tells_and_writes_nothing(small_city, work, tmp_path):
    before = sorted(work.rglob("*"))
    done = run("train", small_city, "--work", work, "--run", tmp_path / "run", *QUICK, "--dry-run")
    assert done.returncode == 0, done.stderr
    for word in ("memory: peak", "disk: checkpoints", "hours", "8 of 2 scenes", "1,410,683"):
        assert word in done.stdout
    assert not (tmp_path / "run").exists()
    assert sorted(work.rglob("*")) == before


@pytest.mark.slow
def test_a_store_of_another_width_than_the_network_is_refused(small_city, work, tmp_path, capsys):
    line = ["train", str(small_city), "--work", str(work), "--run", str(tmp_path / "run"), *QUICK]
    assert cli.run([*line, "--model.head.embedding-channels", "768"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "expected features of 768 channels, found 512, by the teacher 'city-clip-" in told


@pytest.mark.slow
def test_the_board_holds_scalars_validation_and_pictures(small_city, work, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    line = ["train", small_city, "--work", work, "--run", tmp_path, *QUICK]
    done = run(*line, "--tensorboard", "--tensorboard-steps", 2)
    assert done.returncode == 0, done.stderr
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    logged = [json.loads(text) for text in (tmp_path / "metrics.jsonl").open()]
    totals = [event.value for event in board.Scalars("loss/total")]
    np.testing.assert_allclose(totals, [entry["total"] for entry in logged], rtol=1e-6)
    for name in ("feature loss", "feature cosine", "IoU"):
        assert [event.step for event in board.Scalars(f"validation/{name}")] == [2, 3]
    picture = board.Images("validation/view")[-1]
    assert picture.width > 3 * picture.height  # photograph, features, depth in a row
    assert picture.height == 56


AGREEMENT = {
    "total": 1e-5,
    "feature": 1e-5,
    "sparsity": 1e-5,
    # Samples are placed by the inverse of a sum, and a ray that grazes the grid costs the logarithm
    # of almost nothing: both make more of the rounding.
    "distortion": 5e-4,
    "opacity": 1e-3,
    "gradient_norm": 5e-3,
}
"""How far two processes may be from one, relative: sums over samples run in another order."""


@pytest.mark.slow
def test_two_processes_train_on_the_city_as_one_would(small_city, work, tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    # High cells: with low ones a ray here crosses so little matter that its opacity is rounding.
    options = [*QUICK, "--batch-norm", "synchronised", "--model.grid.cell-height-m", "0.8"]
    options += ["--loss.opacity-weight", "0.3", "--loss.sparsity-weight", "0.3"]
    options += ["--loss.distortion-weight", "0.01"]
    for folder, how in ((two, TORCHRUN), (one, ["langocc"])):
        line = ["train", small_city, "--work", work, "--run", folder, *options]
        done = run(*line, program=how)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("checkpoint:") == 1  # only the first process talks
    logged = [[json.loads(x) for x in (f / "metrics.jsonl").open()] for f in (two, one)]
    for ours, theirs in zip(*logged, strict=True):
        for name, tolerance in AGREEMENT.items():
            assert ours[name] == pytest.approx(theirs[name], rel=tolerance), name
    ours, theirs = (load_checkpoint(newest_checkpoint(f / "checkpoints")) for f in (two, one))
    assert ours.metadata["config"] == theirs.metadata["config"]
    assert ours.metadata["software"]["processes"] == "2"
    assert {"commit", "torch", "python", "langocc"} <= ours.metadata["software"].keys()
    # Resumed on one process instead of two: it is there already.
    again = run("train", small_city, "--work", work, "--run", two, *options)
    assert "is trained: 3 steps" in again.stdout


class Emptying(Training):
    """A run whose last step sees little."""

    step, steps = 0, 2

    def __init__(self, seen: float) -> None:
        self.seen = seen

    def fit(self, watch) -> None:
        for step, seen in ((1, 1.0), (2, self.seen)):
            watch(Progress(step, 2, {"total": 0.1}, 1e-3, 0.0, 0.1, seen=seen))


@pytest.mark.parametrize(("seen", "is_warned"), [(0.02, True), (0.97, False), (1.0, False)])
def test_an_empty_field_is_told_at_the_end(seen, is_warned):
    console = Console(record=True, width=200, file=io.StringIO())
    fit_with_progress(Emptying(seen), console)
    said = console.export_text()
    assert (f"warning: only {seen:.0%} of the last step's rays see anything" in said) == is_warned
    last = Progress(2, 2, {"total": 0.1}, 1e-3, 0.0, 0.1, seen=seen)
    assert (f"{seen:.0%} of rays see anything" in state_line([last])) == (seen < 0.99)


def test_parsing_finds_the_preset_first():
    assert Train.parse(["R", "--run", "X", "--preset", "tiny"]).config == TINY
