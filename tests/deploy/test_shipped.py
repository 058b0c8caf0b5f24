"""Models of the package: every verb by name, what half floats change, and the wheel."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import langocc
from langocc import cli
from langocc.asking import Model
from langocc.cli.view import View
from langocc.deploy.comparison import models_apart
from langocc.errors import DataError
from langocc.evaluate.predictions import read_prediction
from langocc.model.langocc import LangOcc
from langocc.predictor import Predictor
from langocc.presets import MODELS
from langocc.scenes.manifest_writer import write_manifest
from langocc.teachers.load import load_teacher
from langocc.train import shipped
from langocc.train.pretrained import WEIGHTS, write_pretrained
from view.live_kit import untrained_run

LEVEL = 0.02
"""Of these weights: nearly all voxels are occupied, so classes are compared everywhere."""
NAME = "city-test"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = {"teacher": load_teacher("city-clip").id, "initial": "scratch", "preset": "tiny"}
    return untrained_run(tmp_path_factory.mktemp("run"), **facts)


@pytest.fixture(scope="module")
def shipped_model(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / NAME
    langocc.save_pretrained(Predictor.load(run), folder, half=True)
    return folder


@pytest.fixture
def here(shipped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and a package with one model."""
    monkeypatch.setattr(shipped, "FOLDER", shipped_model.parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def token(small_city: Path) -> str:
    return next(langocc.open_dataset(small_city).frames("val")).token


def verb(*words: object) -> int:
    return cli.run([str(word) for word in words])


def test_what_the_package_has(here: Path, shipped_model: Path) -> None:
    assert shipped.shipped() == [NAME]
    assert shipped.shipped_folder(NAME) == shipped_model
    for other in ("", ".", "..", "city-tset", f"../{NAME}"):
        assert shipped.shipped_folder(other) is None


def test_python_takes_the_name(here: Path, run: Path) -> None:
    for model in (langocc.load(NAME), langocc.from_pretrained(NAME)):
        assert isinstance(model, Model)
        assert model.predictor.config == Predictor.load(run).config
    with pytest.raises(DataError, match=f"city-tset: no such .*models of the package: {NAME}"):
        langocc.load("city-tset")
    with pytest.raises(DataError, match=f"city-tset: no such .*it has: {NAME}"):
        langocc.from_pretrained("city-tset")


def test_what_lies_here_comes_first(here: Path) -> None:
    (here / NAME).mkdir()
    for read in (langocc.load, langocc.from_pretrained):
        with pytest.raises(DataError, match="city-test: no checkpoint"):
            read(NAME)


def test_predict_takes_the_name(here: Path, small_city: Path, token: str) -> None:
    line = ["--root", small_city, "--token", token, "--threshold", LEVEL]
    assert verb("predict", "--pretrained", NAME, *line, "--query", "a red car") == 0
    folder = here / f"{NAME}-predictions" / "frames"
    assert (folder / token / "query-1-a-red-car.png").is_file()
    first = read_prediction(folder / f"{token}.npz").semantics
    assert verb("predict", NAME, *line, "--pictures", "False", "--out", here / "again") == 0
    assert (read_prediction(here / "again" / f"{token}.npz").semantics == first).all()


def test_predict_takes_the_name_on_other_cameras(here: Path, small_city: Path) -> None:
    dataset = langocc.open_dataset(small_city)
    write_manifest(dataset, here / "own" / "rig.json", lidar=False)
    frame = next(langocc.open_dataset(here / "own", work=here / "work").frames("val"))
    line = ["--root", here / "own", "--token", frame.token, "--query", "a red car"]
    assert verb("predict", "--pretrained", NAME, *line, "--threshold", LEVEL) == 0
    folder = here / f"{NAME}-predictions" / "frames"
    assert (folder / frame.token / "query-1-a-red-car.png").is_file()


def test_predict_refuses(here: Path, run: Path, small_city: Path, token: str, capsys) -> None:
    for words, said in {
        ("--pretrained", "city-tset"): f"it has: {NAME}",
        ("city-tset",): f"models of the package: {NAME}",
        (): "expected one of them, found neither",
        (str(run), "--pretrained", NAME): "expected one of them, found both",
    }.items():
        assert verb("predict", *words, "--root", small_city, "--token", token) == 1
        assert said in " ".join(capsys.readouterr().err.split())


def test_view_takes_the_name(here: Path, small_city: Path) -> None:
    for named in ({"run_folder": Path(NAME)}, {"pretrained": NAME}):
        source = View(small_city, frames=1, device="cpu", **named)._source()
        assert source.predictor.checkpoint["file"] == WEIGHTS
        assert len(source.frames) == 1


def test_evaluate_predicts_by_name(
    here: Path, shipped_model: Path, small_city: Path, capsys: pytest.CaptureFixture
) -> None:
    assert verb("evaluate", "occ3d", NAME, "--root", small_city, "--pictures", 0) == 1
    assert "make them with --save" in capsys.readouterr().err
    assert verb("evaluate", "occ3d", NAME, "--root", small_city, "--pictures", 0, "--save") == 0
    home = here / f"{NAME}-predictions"
    assert len(list((home / "val").glob("*.npz"))) == 4
    report = json.loads((home / "report-occ3d.json").read_text())
    assert NAME in json.dumps(report)
    assert {path.name for path in shipped_model.iterdir()} == {WEIGHTS, "config.json", "README.md"}


def test_export_takes_the_name_and_measures_half_floats(
    here: Path, run: Path, small_city: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert verb("export", NAME, here / "copy", "--format", "folder", "--half") == 0
    assert "wrote" in capsys.readouterr().out
    copied = (here / "copy" / WEIGHTS).read_bytes()
    assert copied == (shipped.FOLDER / NAME / WEIGHTS).read_bytes()  # halved again: the same
    line = ["--half", "--root", small_city, "--frames", 1, "--threshold", LEVEL]
    assert verb("export", run, here / "half", "--format", "folder", *line) == 0
    said = capsys.readouterr().out
    assert "frame 0: folder, run" in said
    share = re.search(r"│\s*([\d.]+)%", said)
    assert share is not None
    assert float(share[1]) < 0.1
    assert verb("export", run, here / "x.onnx", "--half", "--root", small_city) == 1
    assert "half: comes with --format folder, not with onnx" in capsys.readouterr().err


def test_half_floats_change_few_classes(here: Path, run: Path, small_city: Path) -> None:
    """Worst case: random weights, whose 76 prompts are all about as good."""
    dataset = langocc.open_dataset(small_city)
    frame = list(dataset.frames("val"))[1]
    whole, classes = Predictor.load(run), langocc.load(NAME).classes
    apart = models_apart(langocc.load(NAME).predictor, whole, dataset, frame, classes, LEVEL)
    assert 0 < apart.density < 1e-3
    assert apart.answer < 1e-3
    field = whole.field(dataset, frame.token)
    assert (field.density > LEVEL).float().mean() > 0.9  # classes were compared
    assert len(field.classes(classes.vectors, LEVEL).unique()) > 1
    other = replace(whole, model=LangOcc(whole.config.model).eval())
    assert models_apart(other, whole, dataset, frame, classes, LEVEL).answer > 0.01


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_sizes(tmp_path: Path, preset: str) -> None:
    record = {"config": {}, "facts": {}, "step": 1}
    write_pretrained(tmp_path, LangOcc(MODELS[preset]).state_dict(), record, "", half=True)
    assert (tmp_path / WEIGHTS).stat().st_size < {"tiny": 3e6, "small": 8e6}[preset]


def test_a_wheel_brings_the_models(here: Path, shipped_model: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    project, source = here / "project", Path(__file__).parents[2]
    package = project / "src" / "langocc"
    package.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src/langocc/__init__.py"):
        shutil.copy(source / name, project / name)
    shutil.copytree(shipped_model, package / "pretrained" / NAME)
    listed = {
        file.distribution_path for file in wheel.WheelBuilder(str(project)).recurse_included_files()
    }
    expected = {WEIGHTS, "config.json", "README.md"}
    assert {f"langocc/pretrained/{NAME}/{name}" for name in expected} <= listed
