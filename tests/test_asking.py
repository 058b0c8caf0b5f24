"""A trained model from Python: one call a step, and the same answers as the command's."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import langocc
from langocc import cli
from langocc.asking import Model
from langocc.evaluate.predictions import prediction_path, read_prediction
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES
from langocc.teachers.load import load_teacher
from scenes.rig_kit import HEIGHT, WIDTH, rig_content, write_rig
from view.live_kit import label_source, untrained_run

LEVEL = 0.02


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    teacher = load_teacher("city-clip").id
    return untrained_run(tmp_path_factory.mktemp("untrained"), teacher=teacher)


@pytest.fixture(scope="module")
def model(run_folder: Path) -> Model:
    return langocc.load(run_folder)


def test_the_import_is_light() -> None:
    code = "import langocc, sys; print(sorted({'torch', 'transformers', 'viser'} & {*sys.modules}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = langocc.lode


def test_the_same_answer_as_the_command(
    small_city: Path, run_folder: Path, model: Model, tmp_path: Path
) -> None:
    dataset = langocc.open_dataset(small_city)
    frames = list(dataset.frames("val"))
    answer = model.predict(frames[3], "a red car", "tree", before=frames[:3], threshold=LEVEL)
    line = ["--root", small_city, "--token", frames[3].token, "--threshold", LEVEL]
    line += ["--out", tmp_path, "--pictures", "False"]
    assert cli.run([str(part) for part in ("predict", run_folder, *line)]) == 0
    saved = read_prediction(prediction_path(tmp_path, frames[3].token))
    np.testing.assert_array_equal(answer.semantics, saved.semantics)
    np.testing.assert_array_equal(answer.density, saved.density)
    assert list(answer.similarity) == ["a red car", "tree"]
    alone = model.predict(frames[3], threshold=LEVEL)
    assert (alone.density != answer.density).any()  # the past counts


def test_best_voxels_are_where_the_thing_is(small_city: Path) -> None:
    source = label_source(small_city)
    model = Model(source.predictor, source.speaker, source.classes)
    # This predictor finds the label by the frame's token, in the whole dataset.
    predictor = replace(source.predictor)
    field = predictor.field(source.dataset, source.frames[0].token)
    object.__setattr__(predictor, "field", lambda dataset, token: field)
    answer = replace(model, predictor=predictor).predict(source.frames[0], "tree", threshold=0.1)
    best = answer.best("tree", 20)
    cells = np.floor((best - np.array(answer.grid.lower_m)) / answer.grid.cell_m).astype(int)
    assert {OCC3D_CLASSES[i] for i in answer.semantics[tuple(cells.T)]} == {"vegetation"}
    scores = answer.similarity["tree"]
    assert scores[tuple(cells[0])] == np.nanmax(scores)
    np.testing.assert_array_equal(np.isfinite(scores), answer.occupied)
    with pytest.raises(ValueError, match=r"one that was asked \('tree'\), got 'bus'"):
        answer.best("bus")


@pytest.mark.parametrize("cameras", [1, 12])
def test_any_number_of_cameras(tmp_path: Path, model: Model, cameras: int) -> None:
    content = rig_content(cameras, frames=1, scenes=("only",))
    folder = write_rig(tmp_path, content)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cam0.png")
    frame = next(langocc.open_dataset(folder).frames())
    answer = model.predict(frame, "a person", threshold=LEVEL)
    assert len(answer.frame.cameras) == cameras
    assert np.isfinite(answer.density).all()
    assert answer.occupied.any() == (answer.semantics != FREE_ID).any()


def test_bad_arguments(small_city: Path, model: Model) -> None:
    frame = next(langocc.open_dataset(small_city).frames("val"))
    with pytest.raises(ValueError, match="expected a text, got an empty one"):
        model.predict(frame, " ")
    with pytest.raises(ValueError, match="at most 200 characters, got 10,000"):
        model.predict(frame, "x" * 10_000)
    with pytest.raises(ValueError, match="threshold: expected a density > 0"):
        model.predict(frame, threshold=-1.0)
    with pytest.warns(UserWarning, match="knows English only"):
        model.predict(frame, "黄色的起重机", threshold=LEVEL)
