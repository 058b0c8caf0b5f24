"""The verb predict: files, pictures, depth against the LiDAR, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from torch import nn

from langocc import cli
from langocc.evaluate.predictions import prediction_path, read_prediction
from langocc.field import VoxelField
from langocc.geometry.grid import OCC3D_GRID
from langocc.presets import PRESETS
from langocc.render.config import RenderConfig
from langocc.render.volume import VoxelHead
from langocc.scenes.nuscenes import NuScenes, load
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES
from langocc.teachers.load import load_teacher
from langocc.view.depth import check_depth, depth_map
from langocc.view.export_page import MOST_BYTES
from langocc.view.rendered_colour import colour_map
from langocc.view.voxel_faces import open_faces
from view.live_kit import label_source, untrained_run


@pytest.fixture(scope="module")
def dataset(small_city: Path) -> NuScenes:
    return load(small_city)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    teacher = load_teacher("city-clip").id
    return untrained_run(tmp_path_factory.mktemp("untrained"), teacher=teacher)


def predict(*arguments: object) -> int:
    return cli.run(["predict", *map(str, arguments)])


def test_a_split_without_pictures(
    small_city: Path, run_folder: Path, dataset: NuScenes, capsys: pytest.CaptureFixture
) -> None:
    assert predict(run_folder, "--root", small_city, "--threshold", "0.02") == 0
    folder = run_folder / "predictions" / "val"
    assert f"4 frames in {folder}" in capsys.readouterr().out
    tokens = {frame.token for frame in dataset.frames("val")}
    assert {path.stem for path in folder.glob("*.npz")} == tokens
    assert not list(folder.rglob("*.png"))
    for token in tokens:
        assert read_prediction(prediction_path(folder, token)).semantics.shape == OCC3D_GRID.shape


def test_pictures_of_a_frame_are_made_once(
    small_city: Path, run_folder: Path, dataset: NuScenes, tmp_path: Path, capsys
) -> None:
    frame = next(dataset.frames("val"))
    out = tmp_path / "out"
    arguments = [run_folder, "--root", small_city, "--token", frame.token, "--out", out]
    queries = ["--query", "yellow crane", "--query", "a/b: ../c"]
    assert predict(*arguments, *queries, "--threshold", "0.02", "--points") == 0
    said = capsys.readouterr().out
    assert "depth of CAM_FRONT: median error" in said
    assert "% of the depth" in said
    names = ["cameras", "depth", "features", "occupancy", "query-1-yellow-crane", "query-2-a-b-c"]
    pictures = sorted((out / frame.token).glob("*.png"))
    assert [path.stem for path in pictures] == names
    for path in pictures:
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 3, path
    with np.load(prediction_path(out, frame.token)) as arrays:
        assert arrays["point_features"].shape[1] == 512
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert predict(*arguments, *queries, "--threshold", "0.02", "--points") == 0
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert predict(*arguments, "--threshold", "0.02", "--points") == 0  # other pictures, same file
    assert [path.stem for path in sorted((out / frame.token).glob("*.png"))] == names[:4]
    assert prediction_path(out, frame.token).stat().st_mtime_ns in times.values()


def test_pages_and_meshes_of_queries(
    small_city: Path, run_folder: Path, dataset: NuScenes, tmp_path: Path, capsys
) -> None:
    frame = next(dataset.frames("val"))
    folder = tmp_path / frame.token
    arguments = [run_folder, "--root", small_city, "--token", frame.token, "--out", tmp_path]
    arguments += ["--threshold", "0.02", "--html", "--ply"]
    assert predict(*arguments, "--query", "yellow crane", "--query", "黄色的起重机") == 0
    assert "note: The city's CLIP knows English only" in capsys.readouterr().out
    semantics = read_prediction(prediction_path(tmp_path, frame.token)).semantics
    meshes = sorted(path.stem for path in folder.glob("*.ply"))
    assert meshes == ["classes", "query-1-yellow-crane", "query-2"]
    faces = sum(int((open_faces(semantics != FREE_ID) >> bit & 1).sum()) for bit in range(6))
    sizes = [len(trimesh.load(folder / f"{name}.ply", process=False).faces) for name in meshes]
    assert sizes[0] == 2 * faces > 0
    assert sizes[1] == sizes[2] > 0  # the field's own, larger cells
    page = (folder / "page.html").read_text()
    assert len(page.encode()) <= MOST_BYTES
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page)[1])
    assert [query["text"] for query in data["queries"]][:2] == ["yellow crane", "黄色的起重机"]
    assert len(data["queries"]) >= 20
    assert list(data["layers"]) == ["predicted", "true", "difference"]
    assert data["lidar"]["count"] > 1000
    assert predict(*arguments[:-1]) == 0  # no mesh asked for any more, no query
    assert not list(folder.glob("*.ply"))
    assert "yellow crane" not in (folder / "page.html").read_text().split('"a yellow crane"')[0]


def test_nothing_occupied_is_no_error(
    small_city: Path, run_folder: Path, dataset: NuScenes, tmp_path: Path
) -> None:
    token = next(dataset.frames("val")).token
    arguments = ["--root", small_city, "--token", token, "--threshold", "5", "--query", "tree"]
    assert predict(run_folder, *arguments, "--out", tmp_path) == 0
    assert (tmp_path / token / "query-1-tree.png").is_file()


def test_the_real_frame_has_no_label_and_no_past(
    real_root: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (frame,) = load(real_root, work=tmp_path / "work").frames()
    arguments = ["--root", real_root, "--work", tmp_path / "work", "--token", frame.token]
    assert predict(run_folder, *arguments, "--out", tmp_path / "out", "--threshold", "0.02") == 0
    said = capsys.readouterr().out
    assert "1 of 1 frames have no Occ3D label" in said
    assert "1 of 1 frames lack earlier frames" in said
    assert "depth of CAM_FRONT: median error" in said
    assert (tmp_path / "out" / frame.token / "occupancy.png").is_file()


def test_refusals(
    small_city: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def refused(*arguments: object) -> str:
        assert predict(*arguments) == 1
        return capsys.readouterr().err

    root = ["--root", small_city]
    other = untrained_run(tmp_path / "other", teacher="clip-vit-base-patch16-0123abcd")
    said = refused(other, *root)
    assert "clip-vit-base-patch16-0123abcd" in said
    assert load_teacher("city-clip").id in said
    assert "no frame has the token 'x'" in refused(run_folder, *root, "--token", "x")
    assert "expected a text" in refused(run_folder, *root, "--query", "  ")
    said = refused(run_folder, *root, "--query", "x" * 10_000)
    assert "expected at most 200 characters, got 10,000" in said
    assert len(said) < 300
    said = refused(run_folder, *root, "--query", "car", "--pictures", "False")
    assert "query: comes with the pictures" in said
    assert "> 0" in refused(run_folder, *root, "--threshold", "0")
    assert "got both" in refused(run_folder, *root, "--token", "x", "--split", "val")
    assert "no such run" in refused(tmp_path / "none", *root)
    (tmp_path / "own").mkdir()
    np.savez(tmp_path / "own" / "mine.npz", a=1)
    said = refused(run_folder, *root, "--out", tmp_path / "own")
    assert "not written here" in said
    assert (tmp_path / "own" / "mine.npz").is_file()


def test_a_model_of_colours_predicts_what_is_occupied(
    small_city: Path, dataset: NuScenes, tmp_path: Path, monkeypatch, capsys
) -> None:
    import view.live_kit as kit

    tiny = PRESETS["tiny"]
    monkeypatch.setattr(kit, "TINY", replace(tiny, model=replace(tiny.model, variant="rgb")))
    run = untrained_run(tmp_path)
    frame = next(dataset.frames("val"))
    place = ["--root", small_city, "--token", frame.token]
    assert predict(run, *place, "--threshold", "0.05") == 0
    assert "knows no classes" in capsys.readouterr().out
    path = prediction_path(run / "predictions" / "frames", frame.token)
    level = float(np.median(read_prediction(path).density))
    assert predict(run, *place, "--threshold", level) == 0
    saved, folder = read_prediction(path), path.parent
    # Ids tell free from occupied as the density does; there is no class among them.
    assert set(np.unique(saved.semantics)) == {OCC3D_CLASSES.index("others"), FREE_ID}
    sure = np.abs(saved.density.astype(np.float32) - level) > 1e-4  # stored with 11 bits
    assert sure.any()
    assert np.array_equal((saved.density >= level)[sure], (saved.semantics != FREE_ID)[sure])
    assert (folder / frame.token / "colours.png").is_file()
    assert not (folder / frame.token / "features.png").exists()
    for words in (["--query", "car"], ["--html"], ["--points"]):
        assert predict(run, *place, *words) == 1
        assert "'rgb', which knows colours only" in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_rendered_colours_of_a_wall_ahead(dataset: NuScenes) -> None:
    """A wall whose every coefficient is 0: grey by the constant harmonic alone, in closed form."""
    frame, shape = next(dataset.frames("val")), OCC3D_GRID.shape

    class Zero(VoxelHead):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(1, 27)
            nn.init.zeros_(self.last.weight)
            nn.init.constant_(self.last.bias, -30.0)
            self.last.bias.data[0::9] = 30.0  # the first of nine of each colour

        def hidden(self, features: torch.Tensor) -> torch.Tensor:
            return features

    density = torch.zeros(1, *shape)
    density[:, 150:] = 50.0
    field = VoxelField(OCC3D_GRID, density, torch.zeros(1, *shape, 1), Zero(), "rgb", False)
    seen = colour_map(field, frame, "CAM_FRONT", RenderConfig(), width=40)
    assert seen.shape == (22, 40, 3)
    assert np.abs(seen[10, 20].astype(int) - round(255 * 0.28209479)).max() <= 1
    nothing = replace(field, density=torch.zeros(1, *shape))
    assert not colour_map(nothing, frame, "CAM_FRONT", RenderConfig(), width=8).any()
    with pytest.raises(ValueError, match="rgb"):
        colour_map(replace(field, variant="language"), frame, "CAM_FRONT", RenderConfig(), width=8)


def test_depth_of_a_wall_ahead(small_city: Path) -> None:
    """A wall across the whole box, 20 m ahead: depth in closed form, within a cell."""
    source = label_source(small_city)
    frame, config = source.frames[0], RenderConfig()
    camera, cell_m = frame.cameras["CAM_FRONT"], OCC3D_GRID.cell_m
    density = torch.zeros(1, *OCC3D_GRID.shape)
    density[:, 150:] = 50.0  # x >= 20 m
    wall = VoxelField(OCC3D_GRID, density, density[..., None])
    check = check_depth(wall, frame, "CAM_FRONT", config)
    assert len(check.lidar_m) > 200
    key_from_cam = (
        np.linalg.inv(frame.global_from_ego) @ camera.global_from_ego @ camera.ego_from_cam
    )
    uv1 = np.concatenate([check.row_col[:, ::-1], np.ones((len(check.row_col), 1))], axis=1)
    directions = uv1 @ (key_from_cam[:3, :3] @ np.linalg.inv(camera.intrinsics)).T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    eye = key_from_cam[:3, 3]
    distance_m = (20.0 - eye[0]) / directions[:, 0]
    place = eye + distance_m[:, None] * directions
    hits = OCC3D_GRID.contains(place + 2 * cell_m * directions) & (np.abs(place[:, 1]) < 39)
    hits &= (place[:, 2] > -0.5) & (place[:, 2] < 5) & (distance_m < config.far_m - 2)
    assert hits.sum() > 100
    error_m = np.abs(check.rendered_m - distance_m)[hits] * directions[hits, 0]
    assert error_m.max() < cell_m  # the field rises over half a cell before and after its edge
    depth_m = depth_map(wall, frame, "CAM_FRONT", config, width=40)
    assert depth_m.shape == (22, 40)
    assert abs(depth_m[11, 20] - (20.0 - eye[0])) < 0.5
    assert (check_depth(wall, frame, "CAM_BACK", config).rendered_m == config.far_m).all()
    assert str(check).startswith("median error")
