"""Extraction: what the rows hold, and what survives kills, damage and bad input."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_drive import ColourTeacher, make_scene
from torch.nn import functional

from langocc.errors import ConfigError, DataError
from langocc.features.extract import extract_features, shard_of
from langocc.features.pixels import HIT, SKY, SKY_ONLY
from langocc.features.prepare import prepare_rays
from langocc.features.reading import colours_at
from langocc.features.scene_writer import CodecConfig
from langocc.features.shard import Shard
from langocc.features.sources import RayConfig
from langocc.features.store import open_store
from langocc.features.targets import sky_rule
from langocc.scenes.dataset import Dataset
from langocc.scenes.images import read_image
from langocc.teachers.text import Vocabulary

WORDS = Vocabulary("words", ("sky", "road", "wall"), (0, 11, 15))


def prepared(drive, folder, **values):
    config = RayConfig(**{"source": "random", "rays_per_frame": 600} | values)
    return prepare_rays(drive, list(drive.scenes), config, folder)[0]


def extracted(drive, rays, folder, teacher, codec="int8", scenes=None):
    sky = sky_rule(teacher, WORDS)
    config = CodecConfig(codec, components=12)
    return extract_features(drive, rays, scenes or list(drive.scenes), folder, teacher, sky, config)


@pytest.fixture(scope="module")
def rays(drive, tmp_path_factory):
    return prepared(drive, tmp_path_factory.mktemp("rays"))


def test_rows_hold_what_the_teacher_sees_at_their_pixels(drive, rays, teacher, tmp_path):
    store, report = extracted(drive, rays, tmp_path, teacher, "fp16")
    assert (report.done, report.frames, report.rays) == (list(drive.scenes), 9, 9 * 600)
    for scene, frames in drive.scenes.items():
        shard = store.shard(scene)
        for frame in frames:
            rows = shard.read(frame.token)
            before = rays.shard(scene).read(frame.token)
            np.testing.assert_array_equal(rows["pixel"], before["pixel"])
            features = shard.codec.decode(torch.from_numpy(rows["code"].copy()))
            for index, camera in enumerate(frame.cameras.values()):
                image = read_image(camera.image_path)
                ours = rows["camera"] == index
                row_col = torch.from_numpy(rows["pixel"][ours].copy())
                dense = teacher.dense(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
                expected = teacher.sample(dense, row_col, image.shape[:2])
                torch.testing.assert_close(features[ours], expected, atol=1e-3, rtol=0)
                at = (row_col / torch.tensor(image.shape[:2]) * 2 - 1).flip(-1)[None, None]
                colours = functional.grid_sample(
                    torch.from_numpy(image).permute(2, 0, 1)[None].float(),
                    at,
                    align_corners=False,
                    padding_mode="border",
                )[0, :, 0].T
                assert np.abs(rows["rgb"][ours] - colours.numpy()).max() <= 0.501


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (7, 9)])
def test_colours_at_the_edges(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    corners = torch.tensor([[0.0, 0.0], [shape[0] - 1.0, shape[1] - 1.0]])
    assert (colours_at(image, corners)[0] == image[0, 0]).all()
    assert colours_at(image, corners).shape == (2, 3)


def test_sky_is_what_the_teacher_calls_so_and_no_hit_is(drive, rays, teacher, tmp_path):
    store, _ = extracted(drive, rays, tmp_path, teacher)
    for scene, frames in drive.scenes.items():
        for frame in frames:
            rows = store.shard(scene).read(frame.token)
            is_sky = (rows["flags"] & SKY) > 0
            is_blue = rows["rgb"][:, 2].astype(int) - rows["rgb"][:, 0] > 120
            assert (is_sky == is_blue).mean() > 0.9  # patches straddle the horizon
            assert not (is_sky & ((rows["flags"] & HIT) > 0)).any()
            assert 0.2 < is_sky.mean() < 0.6


def test_sky_candidates_stay_only_where_there_is_sky(drive, teacher, tmp_path):
    rays = prepared(drive, tmp_path / "rays", source="lidar_pixels", sky_rays=400)
    store, _ = extracted(drive, rays, tmp_path / "store", teacher)
    for frame in drive.scenes["scene-a"]:
        before = rays.shard("scene-a").read(frame.token)
        after = store.shard("scene-a").read(frame.token)
        assert ((before["flags"] & SKY_ONLY) > 0).sum() == 400
        assert not (after["flags"] & SKY_ONLY).any()
        added = (after["flags"] & SKY) > 0
        assert 50 < added.sum() < 350
        assert (after["depth_m"][added] == 0).all()
        assert (after["depth_m"][~added] > 0).all()
        assert len(after) == len(before) - 400 + added.sum()
    # without a rule for sky no candidate is kept, and nothing else is lost
    config = CodecConfig("int8")
    plain, _ = extract_features(drive, rays, ["scene-a"], tmp_path / "plain", teacher, None, config)
    assert plain.shard("scene-a").rows_of(drive.scenes["scene-a"][0].token) == len(
        prepared(drive, tmp_path / "r2", source="lidar_pixels").shard("scene-a").read("scene-a-0")
    )


def test_pca_is_fitted_per_scene_and_close(drive, rays, teacher, tmp_path):
    exact, _ = extracted(drive, rays, tmp_path / "exact", teacher, "fp16")
    small, _ = extracted(drive, rays, tmp_path / "small", teacher, "pca-int8")
    for scene, frames in drive.scenes.items():
        for frame in frames:
            one, other = (
                store.shard(scene).codec.decode(
                    torch.from_numpy(store.shard(scene).read(frame.token)["code"].copy())
                )
                for store in (exact, small)
            )
            assert functional.cosine_similarity(one, other).median() > 0.99
    sizes = [store.path_of("scene-a").stat().st_size for store in (exact, small)]
    assert sizes[1] < 0.5 * sizes[0]


def test_every_frame_is_looked_at_once(drive, rays, tmp_path):
    teacher = ColourTeacher()
    extracted(drive, rays, tmp_path, teacher, "pca-int8")
    assert teacher.calls == 3 + 9  # three prompts, nine frames of three equal cameras


def test_finished_scenes_are_skipped_and_shards_share_the_work(drive, rays, tmp_path):
    whole, _ = extracted(drive, rays, tmp_path / "whole", ColourTeacher())
    for index in range(2):
        part = list(drive.scenes)[index::2]
        shared, report = extracted(drive, rays, tmp_path / "shared", ColourTeacher(), scenes=part)
        assert report.done == part
    for scene in drive.scenes:
        assert whole.path_of(scene).read_bytes() == shared.path_of(scene).read_bytes()
    teacher = ColourTeacher()
    _, report = extracted(drive, rays, tmp_path / "shared", teacher)
    assert report.skipped == list(drive.scenes)
    assert teacher.calls == 3  # the prompts alone


RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from small_drive import ColourTeacher, make_scene
from langocc.features import shard
from langocc.features.store import open_store
from langocc.scenes.dataset import Dataset
import test_extract
folder = Path(sys.argv[1])
class Slow(ColourTeacher):
    def dense(self, images):
        time.sleep(0.01)
        return super().dense(images)
def add_then_hang(writer, token, rows):
    add(writer, token, rows)
    if token == "b-3":
        print("hangs", flush=True)
        time.sleep(600)
scenes = {{name: make_scene(folder, name, 8, seed) for seed, name in enumerate("abc")}}
drive = Dataset(folder, scenes, {{}})
rays = test_extract.prepared(drive, folder / "rays")
if sys.argv[3] == "hang":
    add, shard.ShardWriter.add = shard.ShardWriter.add, add_then_hang
test_extract.extracted(drive, rays, folder / "store", Slow(), sys.argv[2])
print("finished", flush=True)
"""


@pytest.mark.parametrize("codec", [pytest.param("int8", marks=pytest.mark.slow), "pca-int8"])
def test_killed_and_resumed_run_ends_with_the_same_bytes(tmp_path, codec):
    script = RUN.format(here=os.path.dirname(__file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder, how="run"):
        folder.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", script, str(folder), codec, how],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    undisturbed = start(tmp_path / "undisturbed")
    killed = start(tmp_path / "killed", "hang")
    assert killed.stdout.readline() == "hangs\n"  # in the middle of the second scene
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "killed" / "store" / ".b.shard.part").exists()
    finished = sorted(p.name for p in (tmp_path / "killed" / "store").glob("*.shard"))
    assert finished == ["a.shard"]
    first = (tmp_path / "killed" / "store" / "a.shard").stat().st_mtime_ns
    assert "finished" in start(tmp_path / "killed").communicate(timeout=120)[0]
    assert "finished" in undisturbed.communicate(timeout=120)[0]
    assert (tmp_path / "killed" / "store" / "a.shard").stat().st_mtime_ns == first
    files = [
        {p.name: p.read_bytes() for p in (tmp_path / name / "store").iterdir()}
        for name in ("undisturbed", "killed")
    ]
    assert files[0].keys() == {"store.json", "a.shard", "b.shard", "c.shard"}
    assert files[0] == files[1]


class TestBadInput:
    def test_a_broken_image_fails_its_scene_alone_and_is_named(self, tmp_path, teacher):
        scenes = {name: make_scene(tmp_path, name, 2, seed) for seed, name in enumerate("ab")}
        drive = Dataset(tmp_path, scenes, {})
        rays = prepared(drive, tmp_path / "rays")
        broken = scenes["a"][1].cameras["CAM_1"].image_path
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        store, report = extracted(drive, rays, tmp_path / "store", teacher)
        assert report.done == ["b"]
        assert store.scenes() == ["b"]
        with pytest.raises(DataError, match=broken.name):
            report.raise_failures()
        broken.write_bytes(whole)  # mended: the rest is done, what was done stays
        _, report = extracted(drive, rays, tmp_path / "store", teacher)
        assert (report.done, report.skipped) == (["a"], ["b"])

    def test_a_broken_sweep_fails_its_scene_alone(self, tmp_path):
        scenes = {name: make_scene(tmp_path, name, 2, seed) for seed, name in enumerate("ab")}
        sweep = scenes["a"][0].lidar.points_path
        sweep.write_bytes(sweep.read_bytes()[:-7])
        drive = Dataset(tmp_path, scenes, {})
        _, report = prepare_rays(drive, ["a", "b"], RayConfig(), tmp_path / "rays")
        assert report.done == ["b"]
        with pytest.raises(DataError, match=sweep.name):
            report.raise_failures()

    def test_frames_without_a_sweep_have_no_rays_and_are_counted(self, tmp_path):
        frames = make_scene(tmp_path, "a", 3)
        frames[1] = replace(frames[1], lidar=None)
        drive = Dataset(tmp_path, {"a": frames}, {})
        store, report = prepare_rays(drive, ["a"], RayConfig(), tmp_path / "rays")
        assert report.bare == ["a-1"]
        assert "1 frames have no LiDAR" in report.summary(store.folder, "rays")
        blind = Dataset(tmp_path, {"a": [replace(f, lidar=None) for f in frames]}, {})
        with pytest.raises(DataError, match="grid or random"):
            prepare_rays(blind, ["a"], RayConfig(), tmp_path / "none")

    def test_frames_without_rays_give_empty_rows(self, tmp_path, teacher):
        frames = make_scene(tmp_path, "a", 2)
        frames[0] = replace(frames[0], lidar=None)
        drive = Dataset(tmp_path, {"a": frames}, {})
        rays = prepared(drive, tmp_path / "rays", source="lidar_pixels")
        for codec in ("int8", "pca-int8"):
            store, report = extracted(drive, rays, tmp_path / codec, teacher, codec)
            assert report.bare == ["a-0"]
            assert store.shard("a").rows_of("a-0") == 0
            assert store.shard("a").rows_of("a-1") > 100

    def test_other_settings_in_the_same_folder_are_refused(self, drive, rays, teacher, tmp_path):
        extracted(drive, rays, tmp_path, teacher, "int8")
        with pytest.raises(ConfigError, match="codec: fp16, not int8"):
            extracted(drive, rays, tmp_path, teacher, "fp16")
        with pytest.raises(ConfigError, match=r"rays\.seed: 5, not 0"):
            prepared(drive, rays.folder, seed=5)

    def test_a_disk_too_small_is_refused_before_the_start(
        self, drive, rays, teacher, tmp_path, monkeypatch
    ):
        almost_full = shutil._ntuple_diskusage(10**9, 10**9, 1000)
        monkeypatch.setattr("shutil.disk_usage", lambda _: almost_full)
        with pytest.raises(ConfigError, match="GB are needed"):
            extracted(drive, rays, tmp_path / "store", teacher)

    def test_missing_rays_say_which_verb_makes_them(self, drive, rays, teacher, tmp_path):
        rays = prepared(Dataset(drive.root, {"scene-a": drive.scenes["scene-a"]}, {}), tmp_path)
        with pytest.raises(DataError, match="langocc prepare"):
            extracted(drive, rays, tmp_path / "store", teacher)

    @pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
    def test_impossible_shares_are_refused(self, text):
        with pytest.raises(ConfigError, match="i/n"):
            shard_of(text)

    def test_the_share_follows_from_torchrun_or_slurm(self):
        assert shard_of(None, {}) == (0, 1)
        assert shard_of(None, {"RANK": "3", "WORLD_SIZE": "4"}) == (3, 4)
        array = {
            "SLURM_ARRAY_TASK_ID": "7",
            "SLURM_ARRAY_TASK_MIN": "5",
            "SLURM_ARRAY_TASK_COUNT": "3",
        }
        assert shard_of(None, array) == (2, 3)

    def test_a_vocabulary_without_sky_is_refused(self, teacher):
        with pytest.raises(ConfigError, match="'sky'"):
            sky_rule(teacher, Vocabulary("none", ("road",), (11,)))


def test_colours_alone_need_no_teacher(drive, rays, tmp_path):
    store, _ = extract_features(drive, rays, ["scene-b"], tmp_path, None, None, CodecConfig("none"))
    again = open_store(tmp_path, channels=0)
    rows = Shard(again.path_of("scene-b")).read("scene-b-0")
    assert rows["rgb"].std() > 10
    assert rows["code"].shape == (600, 0)
    assert store.record.teacher == "colours"
