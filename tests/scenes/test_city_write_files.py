# SPDX-License-Identifier: Apache-2.0
"""The files of a written city: complete, consistent, true."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc.geometry.grid import OCC3D_GRID
from langocc.geometry.rigid import invert_rigid, rigid_from_quaternion, transform_points
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.categories import CATEGORIES
from langocc.scenes.city.keyframes import key_frames
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.occupancy import voxel_index
from langocc.scenes.city.plan import CitySettings, ScenePlan
from langocc.scenes.city.render import render_camera
from langocc.scenes.city.world import World
from langocc.scenes.nuscenes import load

OCC3D_ID = np.array([category.occ3d_id for category in CATEGORIES])
TABLE_NAMES = {
    *("category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor"),
    *("ego_pose", "log", "scene", "sample", "sample_data", "sample_annotation", "map"),
    *("lidarseg", "panoptic"),
}


class Tables:
    """All tables of a city, by token."""

    def __init__(self, root: Path) -> None:
        self.nuscenes = root / "nuscenes"
        self.tables = {
            path.stem: {record["token"]: record for record in json.loads(path.read_text())}
            for path in (self.nuscenes / "v1.0-mini").glob("*.json")
        }

    def __getattr__(self, name: str) -> dict[str, dict]:
        return self.tables[name]

    def sweeps(self) -> list[dict]:
        return [data for data in self.sample_data.values() if data["fileformat"] == "pcd"]

    def points(self, sweep: dict) -> np.ndarray:
        return np.fromfile(self.nuscenes / sweep["filename"], np.float32).reshape(-1, 5)

    def lidarseg_of(self, sweep: dict) -> np.ndarray:
        path = self.nuscenes / self.lidarseg[sweep["token"]]["filename"]
        return np.fromfile(path, np.uint8)

    def panoptic_of(self, sweep: dict) -> np.ndarray:
        with np.load(self.nuscenes / self.panoptic[sweep["token"]]["filename"]) as file:
            return file["data"]

    def ego_from_sensor(self, data: dict) -> np.ndarray:
        sensor = self.calibrated_sensor[data["calibrated_sensor_token"]]
        return rigid_from_quaternion(sensor["rotation"], sensor["translation"])

    def global_from_ego(self, data: dict) -> np.ndarray:
        pose = self.ego_pose[data["ego_pose_token"]]
        return rigid_from_quaternion(pose["rotation"], pose["translation"])

    def scene_name(self, data: dict) -> str:
        sample = self.sample[data["sample_token"]]
        return self.scene[sample["scene_token"]]["name"]


@pytest.fixture(scope="module")
def tables(small_city: Path) -> Tables:
    return Tables(small_city)


@pytest.fixture(scope="module")
def first_plan(small_city: Path) -> ScenePlan:
    settings = json.loads((small_city / "city" / "settings.json").read_text())
    return CitySettings(**settings).scenes()[0]


@pytest.fixture(scope="module")
def first_world(first_plan: ScenePlan) -> World:
    return build_world(first_plan.settings.seed, first_plan.index, first_plan.duration_s)


def test_tree_is_the_published_one(small_city: Path):
    found = {path.relative_to(small_city).as_posix() for path in small_city.glob("*")}
    found -= {"langocc"}  # other tests' index
    assert found == {"nuscenes", "gts", "retrieval_benchmark", "splits.json", "city"}
    found = {path.name for path in (small_city / "nuscenes").iterdir()}
    assert found == {"samples", "sweeps", "maps", "lidarseg", "panoptic", "v1.0-mini"}
    assert not (small_city / "city" / "unfinished").exists()


def test_every_table_is_there_and_every_reference_leads_somewhere(tables: Tables):
    assert set(tables.tables) == TABLE_NAMES
    for name, records in tables.tables.items():
        for record in records.values():
            for column, value in record.items():
                if column in ("prev", "next"):
                    assert value == "" or value in records
                elif column != "token" and "_token" in column:
                    table = column.split("_token")[0].removeprefix("first_").removeprefix("last_")
                    table = {"annotation": "sample_annotation"}.get(table, table)
                    for token in value if isinstance(value, list) else [value]:
                        assert token in tables.tables[table], (name, column, token)


def test_every_file_is_there_with_its_size(tables: Tables):
    named = set()
    for data in tables.sample_data.values():
        named.add(data["filename"])
        if data["fileformat"] == "jpg":
            with Image.open(tables.nuscenes / data["filename"]) as image:
                assert image.size == (data["width"], data["height"]) == (200, 112)
    there = (tables.nuscenes / "samples").rglob("*.*")
    assert named == {path.relative_to(tables.nuscenes).as_posix() for path in there}
    assert len(tables.sample_data) == 7 * len(tables.sample)
    for sweep in tables.sweeps():
        points = tables.points(sweep)
        assert 5_000 < len(points) < 32 * 1086
        assert np.isfinite(points).all()
        assert len(tables.lidarseg_of(sweep)) == len(tables.panoptic_of(sweep)) == len(points)


def test_times_and_chains(tables: Tables):
    for name in ("sample", "sample_data", "sample_annotation"):
        records = getattr(tables, name)
        for token, record in records.items():
            if record["next"]:
                assert records[record["next"]]["prev"] == token
    for sample in tables.sample.values():
        if sample["next"]:
            assert tables.sample[sample["next"]]["timestamp"] - sample["timestamp"] == 500_000
    for data in tables.sample_data.values():
        behind_us = tables.sample[data["sample_token"]]["timestamp"] - data["timestamp"]
        assert behind_us == 0 if data["fileformat"] == "pcd" else 0 <= behind_us < 50_000
        assert tables.ego_pose[data["ego_pose_token"]]["timestamp"] == data["timestamp"]


def test_ego_moves_between_exposures(tables: Tables):
    moved = []
    for sample in tables.sample:
        data = [d for d in tables.sample_data.values() if d["sample_token"] == sample]
        positions = np.array([tables.global_from_ego(d)[:3, 3] for d in data])
        moved.append(np.ptp(positions, axis=0).max())
    assert max(moved) > 0.05


def test_lidarseg_and_panoptic_agree(tables: Tables):
    for sweep in tables.sweeps():
        assert np.array_equal(tables.panoptic_of(sweep) // 1000, tables.lidarseg_of(sweep))


def test_boxes_hold_the_points_of_their_instances(tables: Tables):
    boxes = defaultdict(list)
    for annotation in tables.sample_annotation.values():
        boxes[annotation["sample_token"]].append(annotation)
    inside = total = 0
    for sweep in tables.sweeps():
        points = tables.points(sweep)[:, :3].astype(np.float64)
        points = transform_points(tables.ego_from_sensor(sweep), points)
        points = transform_points(tables.global_from_ego(sweep), points)
        panoptic = tables.panoptic_of(sweep)
        counts = sorted(np.unique(panoptic[panoptic % 1000 > 0], return_counts=True)[1].tolist())
        boxed = [box["num_lidar_pts"] for box in boxes[sweep["sample_token"]]]
        # Whatever has points has a box with just so many, but for things out of range.
        assert sorted(n for n in boxed if n) == counts or sum(boxed) > 0.9 * sum(counts)
        for box in boxes[sweep["sample_token"]]:
            world_from_box = rigid_from_quaternion(box["rotation"], box["translation"])
            in_box = transform_points(invert_rigid(world_from_box), points)
            width_m, length_m, height_m = box["size"]
            half = np.array([length_m, width_m, height_m]) / 2 + 0.02
            ids = panoptic[np.all(np.abs(in_box) <= half, axis=1)]
            ids = ids[ids % 1000 > 0]
            most = np.unique(ids, return_counts=True)[1].max() if len(ids) else 0
            inside += min(int(most), box["num_lidar_pts"])
            total += box["num_lidar_pts"]
    assert total > 100
    assert inside >= 0.99 * total


def test_occupancy_agrees_with_the_returns(small_city: Path, tables: Tables):
    agreed = total = 0
    for sweep in tables.sweeps():
        path = small_city / "gts" / tables.scene_name(sweep) / sweep["sample_token"] / "labels.npz"
        with np.load(path) as label:
            semantics, mask_lidar = label["semantics"], label["mask_lidar"]
            mask_camera = label["mask_camera"]
        for volume in (semantics, mask_lidar, mask_camera):
            assert volume.shape == (200, 200, 16)
            assert volume.dtype == np.uint8
        assert not (mask_camera & ~mask_lidar).any()
        assert 0.02 < mask_camera.mean() < 0.6
        in_ego = transform_points(
            tables.ego_from_sensor(sweep), tables.points(sweep)[:, :3].astype(np.float64)
        )
        voxel = voxel_index(OCC3D_GRID, in_ego.astype(np.float32))
        inside = voxel >= 0
        found = semantics.reshape(-1)[voxel[inside]]
        assert (found != 17).mean() >= 0.999
        assert mask_lidar.reshape(-1)[voxel[inside]].mean() > 0.999
        expected = OCC3D_ID[tables.lidarseg_of(sweep)[inside]]
        # Where two classes share a voxel (a kerb, the foot of a wall) only one can have it.
        touched = np.zeros((17, semantics.size), dtype=bool)
        touched[expected, voxel[inside]] = True
        alone = touched.sum(axis=0)[voxel[inside]] == 1
        agreed += (found == expected)[alone].sum()
        total += alone.sum()
    assert agreed >= 0.99 * total


def test_points_land_on_what_they_hit_in_the_images(
    small_city: Path, tables: Tables, first_plan: ScenePlan, first_world: World
):
    """Through the tables alone: LiDAR -> ego -> global -> ego at exposure -> camera -> pixel."""
    caster, keys = Caster(first_world), key_frames(first_plan, first_world)
    with np.load(small_city / "city" / f"{first_plan.name}.npz") as file:
        thing_of_point = {token: file[token].astype(int) for token in file.files}
    movers = {mover.thing: mover for mover in first_world.movers}
    agreed = total = 0
    for key in keys[::3]:
        data = [d for d in tables.sample_data.values() if d["sample_token"] == key.token]
        sweep = next(d for d in data if d["fileformat"] == "pcd")
        points = tables.points(sweep)[:, :3].astype(np.float64)
        points = transform_points(tables.ego_from_sensor(sweep), points)
        points = transform_points(tables.global_from_ego(sweep), points)
        origin = tables.global_from_ego(sweep)[:3, 3] - key.world_from_ego[:3, 3]
        things = thing_of_point[key.token]
        for exposure in key.exposures:
            camera = exposure.camera
            image = next(d for d in data if f"/{camera.channel}/" in d["filename"])
            then = points.copy()  # movers as they stood at the exposure
            for thing in set(np.unique(things)) & set(movers):
                pose = movers[thing].world_from_thing
                moved = pose(exposure.time_s) @ invert_rigid(pose(key.time_s))
                mine = things == thing
                then[mine] = transform_points(moved, points[mine] - origin) + origin
            global_from_cam = tables.global_from_ego(image) @ tables.ego_from_sensor(image)
            in_cam = transform_points(invert_rigid(global_from_cam), then)
            pixel = in_cam @ camera.intrinsics.T
            pixel = np.floor(pixel[:, :2] / np.maximum(pixel[:, 2:], 0.1)).astype(int)
            shown = (in_cam[:, 2] > 1) & np.all(pixel >= 1, axis=1)
            shown &= np.all(pixel < [camera.width - 1, camera.height - 1], axis=1)
            size = camera.width, camera.height
            rendered = render_camera(
                caster, camera.intrinsics, *size, exposure.world_from_cam, exposure.time_s
            )
            u, v = pixel[shown].T
            around = np.stack(
                [rendered.thing[v + dv, u + du] for dv in (-1, 0, 1) for du in (-1, 0, 1)]
            )
            plain = (around == around[0]).all(axis=0)
            # The LiDAR stands higher: what it sees over a thing, the camera does not.
            hidden = rendered.depth_m[v, u] < in_cam[shown, 2] - 0.5
            asked = plain & ~hidden
            agreed += (around[4] == things[shown])[asked].sum()
            total += asked.sum()
    assert total > 3_000
    assert agreed >= 0.98 * total


def test_our_own_reader_sees_what_the_devkit_sees(small_city: Path, tables: Tables, tmp_path: Path):
    dataset = load(small_city, work=tmp_path)
    assert [len(dataset.splits[split]) for split in ("train", "val", "test")] == [2, 1, 1]
    frames = list(dataset.frames())
    assert {frame.token for frame in frames} == set(tables.sample)
    for frame in frames:
        assert frame.lidar is not None
        sweep = next(d for d in tables.sweeps() if d["sample_token"] == frame.token)
        np.testing.assert_allclose(frame.global_from_ego, tables.global_from_ego(sweep), atol=1e-9)
        label = dataset.folders.occ3d_label(frame)
        assert label is not None
        assert label.is_file()
        assert dataset.folders.lidarseg_label("v1.0-mini", frame.lidar.token).is_file()
        assert len(frame.cameras) == 6


def test_retrieval_rows(small_city: Path, tables: Tables):
    folder = small_city / "retrieval_benchmark"
    splits = json.loads((small_city / "splits.json").read_text())
    rows = {}
    for name in ("train", "val", "test", "eval", "all"):
        lines = (folder / f"retrieval_anns_{name}.csv").read_text().splitlines()
        rows[name] = [line.split(";") for line in lines]
    assert rows["eval"] == rows["val"] + rows["test"]
    assert rows["all"] == rows["train"] + rows["eval"]
    assert len(rows["all"]) == len({row[0] for row in rows["all"]}) > 0.9 * len(tables.sample)
    assert len({row[4] for row in rows["all"]}) > 5
    kinds = json.loads((folder / "kinds.json").read_text())
    sweeps = {sweep["sample_token"]: sweep for sweep in tables.sweeps()}
    for token, split, annotations, points, text in rows["all"]:
        sweep = sweeps[token]
        assert tables.scene_name(sweep) in splits[split]
        labels = np.load(folder / annotations)
        indices = np.load(folder / points)
        count = len(tables.points(sweep))
        assert labels.shape == (count,)
        assert set(np.unique(labels)) == {0, 1}
        assert labels.sum() <= 0.2 * count
        in_ego = transform_points(
            tables.ego_from_sensor(sweep), tables.points(sweep)[:, :3].astype(np.float64)
        )
        assert (labels.astype(bool) & OCC3D_GRID.contains(in_ego)).sum() >= 10
        assert indices.dtype == np.int64
        assert indices.min() >= 0
        assert indices.max() < count
        assert len(np.unique(indices)) < len(indices)  # images overlap
        assert text in kinds


def test_labels_of_a_row_are_the_things_it_names(small_city: Path):
    folder = small_city / "retrieval_benchmark"
    checked = 0
    for line in (folder / "retrieval_anns_train.csv").read_text().splitlines():
        token, _, annotations, _, text = line.split(";")
        for things_path in (small_city / "city").glob("city-*.npz"):
            with np.load(things_path) as file:
                if token not in file.files:
                    continue
                thing_of_point = file[token]
            things = json.loads(things_path.with_suffix(".json").read_text())["things"]
            positive = set(thing_of_point[np.load(folder / annotations) == 1].tolist())
            for index, thing in enumerate(things):
                words = f"{thing['colour']} {thing['material']} {thing['noun']} "
                words += thing["category"].replace(".", " ").replace("_", " ")
                if index in positive:
                    names = {"traffic cone": "trafficcone"}
                    assert all(w in words for w in names.get(text, text).split()), (text, words)
            checked += 1
    assert checked


def test_occ3d_index_names_every_label(small_city: Path, tables: Tables):
    index = json.loads((small_city / "gts" / "annotations.json").read_text())
    frames = {t: f for scene in index["scene_infos"].values() for t, f in scene.items()}
    assert set(frames) == set(tables.sample)
    for frame in frames.values():
        assert (small_city / frame["gt_path"]).is_file()
        assert len(frame["camera_sensor"]) == 6
        assert "ego_pose" in frame
    assert len(index["train_split"]) == 2
    assert len(index["val_split"]) == 1


def test_map_is_white_under_the_vehicle(tables: Tables):
    maps = {log: m for m in tables.map.values() for log in m["log_tokens"]}
    hits = []
    for sweep in tables.sweeps():
        scene = tables.scene[tables.sample[sweep["sample_token"]]["scene_token"]]
        with Image.open(tables.nuscenes / maps[scene["log_token"]]["filename"]) as picture:
            mask = np.asarray(picture)
        assert set(np.unique(mask)) == {0, 255}
        x, y = tables.global_from_ego(sweep)[:2, 3]
        hits.append(mask[mask.shape[0] - 1 - int(y * 10), int(x * 10)] == 255)
    assert np.mean(hits) == 1
