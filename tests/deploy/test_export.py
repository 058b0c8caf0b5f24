"""Exported steps: equal to the model, in torch and in onnxruntime, and what they refuse."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from deploy_kit import drive, pictures, predictor, whole_pass

from langocc import cli
from langocc.deploy import comparison, export
from langocc.deploy.arrivals import Arrival, augmentations_of
from langocc.deploy.comparison import difference, geometry_of
from langocc.deploy.facts import step_facts
from langocc.deploy.feeding import Tensors, arrived, no_history, step_inputs, walk
from langocc.deploy.geometry_step import GeometryStep
from langocc.deploy.plain_ops import plain_cost_volume, plain_splat
from langocc.deploy.step import StreamStep
from langocc.deploy.stream import Stream
from langocc.features.sample import camera_rig
from langocc.model.cost_volume import stereo_cost_volume
from langocc.model.lift import splat
from langocc.predictor import ClassQueries, Predictor
from langocc.scenes.occ3d import FREE_ID
from langocc.teachers.load import load_teacher
from view.live_kit import untrained_run

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_onnx.py"


def queries(count: int = 20) -> ClassQueries:
    vectors = torch.randn(count, 512, generator=torch.Generator().manual_seed(1))
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    return ClassQueries(vectors, tuple(i % FREE_ID for i in range(count)))


def step_of(made: Predictor, classes: ClassQueries | None) -> StreamStep:
    """Untrained: about half of all voxels are denser than the threshold."""
    return StreamStep(made.model, classes, swap_rgb=False, threshold=0.5).eval()


def first_inputs(made: Predictor) -> dict[str, torch.Tensor]:
    frame = drive(1)[0]
    shown = [arrived(made, frame, pictures(frame))] * made.config.model.input_frames
    return step_inputs(made, shown) | no_history(made.model, 3)


@pytest.mark.parametrize("zero_is_invalid", [True, False])
def test_plain_cost_volume(zero_is_invalid: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(2, 10, 6, 8, generator=generator).relu()
    reference = torch.randn(2, 10, 6, 8, generator=generator).relu()
    grid = 3 * torch.rand(2, 5, 6, 8, 2, generator=generator) - 1.5
    rule = {"invalid_cost": 5.0, "zero_is_invalid": zero_is_invalid}
    expected = stereo_cost_volume(current, reference, grid, **rule)
    torch.testing.assert_close(plain_cost_volume(current, reference, grid, **rule), expected)


def test_plain_splat() -> None:
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(1, 2, 3, 4, 5, generator=generator)
    context = torch.randn(1, 2, 7, 4, 5, generator=generator)
    cells = torch.randint(-1, 24, (1, 2, 3, 4, 5), generator=generator)
    expected = splat(depth, context, cells, (2, 3, 4))
    torch.testing.assert_close(plain_splat(depth, context, cells, (2, 3, 4)), expected)
    nowhere = torch.full_like(cells, -1)
    assert not plain_splat(depth, context, nowhere, (2, 3, 4)).any()


class Splat(torch.nn.Module):
    def forward(
        self, depth: torch.Tensor, context: torch.Tensor, cells: torch.Tensor
    ) -> torch.Tensor:
        return plain_splat(depth, context, cells, (50, 50, 4))


def test_no_thread_loses_a_sum(tmp_path: Path) -> None:
    """Ones into a few voxels by eight threads: whole numbers, so any order gives the same sums."""
    pytest.importorskip("onnxruntime")
    depth, context = torch.ones(1, 6, 24, 9, 24), torch.ones(1, 6, 16, 9, 24)
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, 500, depth.shape, generator=generator) * 20
    inputs = {"depth": depth, "context": context, "cells": cells}
    program = torch.export.export(Splat(), tuple(inputs.values()))
    counts = export.write_onnx(program, tmp_path / "splat.onnx", list(inputs), ["volume"], {})
    assert "ScatterND" not in counts  # loses sums, but seldom: no number of runs would show it
    run, expected = export.read_onnx(tmp_path / "splat.onnx", threads=8), Splat()(*inputs.values())
    assert all(torch.equal(run(inputs)["volume"], expected) for _ in range(20))


@pytest.mark.parametrize(
    ("quirks", "history_frames", "stereo"),
    [
        ("published", 0, False),
        ("published", 1, False),
        ("published", 1, True),
        ("published", 2, True),
        ("none", 2, True),
        ("none", 3, True),
    ],
)
def test_a_step_equals_a_whole_pass(quirks: str, history_frames: int, stereo: bool) -> None:
    """Other ops, other sums: to the rounding of float32 that the stereo cost amplifies."""
    made = predictor(quirks, history_frames=history_frames, stereo=stereo)
    frames, step = drive(5), step_of(made, queries())
    said = walk(made, frames, export.eager(step), pictures)
    for index in (0, 4):
        shown = [frames[max(index - back, 0)] for back in range(1 + history_frames)]
        field = whole_pass(made, shown)
        torch.testing.assert_close(said[index]["density"], field.density[0], rtol=1e-4, atol=1e-5)
        best = field.classes(queries().vectors, 0.5)[0]
        ids = torch.tensor([*queries().class_ids, FREE_ID])
        expected = ids[torch.where(best < 0, len(ids) - 1, best)]
        assert (said[index]["semantics"] != expected).float().mean() < 1e-3


def test_features_answer_text_as_the_field_does() -> None:
    made = predictor()
    frames, vectors = drive(3), queries(4).vectors
    said = walk(made, frames, export.eager(step_of(made, None)), pictures)[-1]
    cosines = torch.einsum("qc,xyzc->qxyz", vectors @ said["projection"], said["features"])
    expected = whole_pass(made, frames[::-1]).query(vectors)[0]
    torch.testing.assert_close(cosines, expected, rtol=1e-3, atol=1e-4)


def test_a_step_without_a_camera_is_a_stream_without_it() -> None:
    made = predictor()
    frames, stream = drive(3), Stream(made)
    images = {frame.token: pictures(frame) | {"cam1": None} for frame in frames}
    for frame in frames:
        answer = stream.push(frame, images[frame.token])
    said = walk(made, frames, export.eager(step_of(made, None)), lambda f: images[f.token])[-1]
    density = answer.field.density[0]
    torch.testing.assert_close(said["density"], density, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stereo", [True, False])
@pytest.mark.parametrize("quirks", ["published", "none"])
def test_geometry_from_poses(quirks: str, stereo: bool) -> None:
    """Bit for bit, for any poses of a rig of one calibration."""
    made, frames = predictor(quirks, stereo=stereo), drive(5)[::-1]
    size, model = made.config.sample.input_size, made.model
    rig = camera_rig(frames[2], frames[2:], augmentations_of(frames[2], size), np.eye(3))
    step = GeometryStep(model, rig)
    shown = [arrived(made, frame, pictures(frame)) for frame in frames[:3]]
    names = ["numbers", "cells", *(["places"] if stereo else [])]

    def run(inputs: Tensors) -> Tensors:
        return dict(zip(names, step(*inputs.values()), strict=True))

    found, expected = geometry_of(made, run)(shown), step_inputs(made, shown)
    for name in names:
        assert torch.equal(found[name], expected[name]), name


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, StreamStep, Path, dict]:
    """A small published-like model as .pt2 and .onnx."""
    made, folder = predictor(), tmp_path_factory.mktemp("exported")
    step, inputs = step_of(made, queries()), first_inputs(made)
    facts = step_facts(made, step, drive(1)[0], inputs)
    program = export.exported_program(step, inputs)
    export.write_pt2(program, folder / "model.pt2", facts)
    counts = export.write_onnx(
        program, folder / "model.onnx", list(inputs), facts["outputs"], facts
    )
    return made, step, folder, counts


def apart(exported: tuple, run: export.Step) -> list:
    made, step, _, _ = exported
    ours = walk(made, drive(4), export.eager(step), pictures)
    theirs = walk(made, drive(4), run, pictures)
    return [difference(*pair) for pair in zip(theirs, ours, strict=True)]


def test_pt2(exported: tuple) -> None:
    """The same operations on the same numbers."""
    for found in apart(exported, export.read_pt2(exported[2] / "model.pt2", exported[1])):
        assert found.density == 0
        assert found.answer == 0
        assert found.history == 0


def test_onnx(exported: tuple) -> None:
    """Another program's convolutions: rounding, and classes flip where two are as near."""
    pytest.importorskip("onnxruntime")
    for found in apart(exported, export.read_onnx(exported[2] / "model.onnx")):
        assert found.density < 1e-4
        assert found.answer < 1e-3
        assert found.history is not None
        assert found.history < 1e-5


def test_moved_voxels_are_counted() -> None:
    one = {"density": torch.tensor([0.0, 1, 2, 3]), "features": torch.zeros(4, 2)}
    found = difference(one | {"density": torch.tensor([0.0, 1.0005, 2.5, 3])}, one)
    assert (found.density, found.moved, found.answer, found.history) == (0.5, 0.25, 0, None)


def test_onnx_with_its_geometry(exported: tuple) -> None:
    """The geometry graph agrees bit for bit, a frame that is its own past included."""
    pytest.importorskip("onnxruntime")
    made, step, folder, _ = exported
    frames = drive(4)
    images = [arrived(made, frame, pictures(frame)) for frame in frames]
    size = made.config.sample.input_size
    rig = camera_rig(frames[0], frames[:3], augmentations_of(frames[0], size), np.eye(3))
    export.write_geometry(made.model, rig, folder / "model.geometry.onnx")
    geometry = geometry_of(made, export.read_onnx(folder / "model.geometry.onnx"))
    for index in range(4):
        shown = [images[max(index - back, 0)] for back in range(3)]
        given, expected = geometry(shown), step_inputs(made, shown)
        assert all(torch.equal(given[name], expected[name]) for name in given)
        assert list(given) == ["numbers", "cells", "places"]
    run = export.read_onnx(folder / "model.onnx")
    ours = walk(made, frames, export.eager(step), pictures)
    theirs = walk(made, frames, run, pictures, geometry)
    for pair in zip(theirs, ours, strict=True):
        found = difference(*pair)
        assert found.density < 1e-4
        assert found.answer < 1e-3
        assert found.history is not None
        assert found.history < 1e-5


def test_geometry_that_differs_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made, frames = predictor(), drive(2)
    monkeypatch.setattr(comparison, "arrived", lambda made, f: arrived(made, f, pictures(f)))

    def moved(shown: Sequence[Arrival]) -> Tensors:
        inputs = step_inputs(made, shown)
        cells, places = inputs["cells"].clone(), inputs["places"].clone()
        cells[0, :, 3] += 1  # one depth of twelve, in one of the lifted frames
        places[:, 5] = torch.where(places[:, 5].abs().amax(-1, keepdim=True) <= 1, -2.0, 0.0)
        return inputs | {"cells": cells, "places": places}

    found = comparison.geometry_apart(made, frames, moved)
    lifted, bins = made.config.model.lifted_frames, made.config.model.depth.bins
    assert found.points == pytest.approx(1 / (lifted * bins))
    assert found.places == pytest.approx(1 / bins)
    same = comparison.geometry_apart(made, frames, lambda shown: step_inputs(made, shown))
    assert (same.points, same.places) == (0, 0)


def test_onnx_needs_no_plugin_and_tells_what_it_is(exported: tuple) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported[2] / "model.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    assert "NonZero" not in exported[3]  # shapes would depend on the data
    facts = json.loads({p.key: p.value for p in model.metadata_props}["langocc"])
    assert facts["input_size"] == [48, 96]
    assert facts["inputs"]["past_stride4"] == ["float32", [3, 64, 12, 24]]
    assert [output.name for output in model.graph.output] == facts["outputs"]
    assert [camera["name"] for camera in facts["cameras"]] == ["cam0", "cam1", "cam2"]


def test_another_image_size_than_exported(exported: tuple) -> None:
    pytest.importorskip("onnxruntime")
    made, step, folder, _ = exported
    inputs: Tensors = first_inputs(made) | {"images": torch.zeros(3, 48, 97, 3, dtype=torch.uint8)}
    with pytest.raises(Exception, match=r"Got: 97 Expected: 96"):
        export.read_onnx(folder / "model.onnx")(inputs)
    with pytest.raises(Exception, match=r"96"):
        export.read_pt2(folder / "model.pt2", step)(inputs)


def test_an_argument_too_few() -> None:
    """A step takes exactly its arguments."""
    made = predictor()
    inputs = first_inputs(made)
    with pytest.raises(ValueError, match="zip"):
        step_of(made, None)(*list(inputs.values())[:-1])


@pytest.fixture(scope="module")
def tiny(small_city: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The preset tiny, exported by the command; the folder, the data root, what it printed."""
    folder = tmp_path_factory.mktemp("tiny")
    run = untrained_run(folder / "run", teacher=load_teacher("city-clip").id)
    command = [sys.executable, "-m", "langocc", "export", str(run), str(folder / "tiny.onnx")]
    settings = ["--root", str(small_city), "--threshold", "0.02", "--frames", "3"]
    done = subprocess.run([*command, *settings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, small_city, done.stdout


@pytest.mark.slow
def test_the_command_exports_and_compares(tiny: tuple[Path, Path, str]) -> None:
    pytest.importorskip("onnxruntime")
    folder, _, said = tiny
    assert "opset 20, no other domain" in said
    assert "largest differences, and shares of voxels" in said
    assert "geometry graph, model: 0.00% of lifted points in another voxel, 0.00% of" in said
    assert "frame 2: exported, whole pass" in said
    assert {p.name for p in folder.iterdir()} >= {
        "tiny.onnx",
        "tiny.geometry.onnx",
        "tiny.drive.json",
    }


@pytest.mark.slow
def test_the_example_needs_no_torch(tiny: tuple[Path, Path, str]) -> None:
    """Sixty lines; the same density as the model's to rounding; refuses other images."""
    pytest.importorskip("onnxruntime")
    folder, root, _ = tiny
    assert len(EXAMPLE.read_text().splitlines()) <= 60
    blind = (
        "import sys, runpy; sys.modules['torch'] = sys.modules['langocc'] = None; "
        f"sys.argv = ['run_onnx.py', 'tiny.onnx']; runpy.run_path({str(EXAMPLE)!r})"
    )
    done = subprocess.run([sys.executable, "-c", blind], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("of 160000 voxels occupied") == 3
    check_against_the_model(folder, root)
    drive_file = folder / "tiny.drive.json"
    record = json.loads(drive_file.read_text())
    small = folder / "small.png"
    from PIL import Image

    Image.new("RGB", (64, 48)).save(small)
    next(iter(record[0]["cameras"].values()))["image"] = str(small)
    drive_file.write_text(json.dumps(record))
    done = subprocess.run([sys.executable, "-c", blind], cwd=folder, capture_output=True, text=True)
    assert "small.png: expected [200, 112] pixels, got [64, 48]" in done.stderr


def check_against_the_model(folder: Path, root: Path) -> None:
    from langocc.scenes.nuscenes import load

    made, dataset = Predictor.load(folder / "run"), load(root)
    token = json.loads((folder / "tiny.drive.json").read_text())[-1]["token"]
    field = made.field(dataset, token)
    with np.load(folder / f"{token}.npz") as said:
        difference_ = np.abs(said["density"] - field.density[0].numpy())
        assert said["semantics"].shape == made.config.model.grid.shape
    assert difference_.max() < 1e-4


@pytest.mark.slow
def test_bad_requests(tiny: tuple[Path, Path, str], tmp_path: Path, capsys) -> None:
    folder, root, _ = tiny
    run, out = str(folder / "run"), str(tmp_path / "out.onnx")
    assert cli.run(["export", run, out]) == 1
    assert "root: expected a data root, whose rig onnx is for" in capsys.readouterr().err
    assert cli.run(["export", run, out, "--root", str(root), "--frames", "40"]) == 1
    assert "expected a scene of 40 frames in split 'val', found none" in capsys.readouterr().err
    assert cli.run(["export", run, out, "--root", str(root), "--threshold", "-1"]) == 1
    assert "threshold: expected a density > 0 1/m" in capsys.readouterr().err
    assert cli.run(["export", str(tmp_path / "no"), out, "--root", str(root)]) == 1
    assert "no such run or checkpoint" in capsys.readouterr().err
    assert not os.path.exists(out)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(export.ConfigError, match=r"onnx: not installed; pip install .*export"):
        export.need("onnx")
