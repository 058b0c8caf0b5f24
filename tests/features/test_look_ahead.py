# SPDX-License-Identifier: Apache-2.0
"""Frames go through the teacher ahead of who writes them: each once, in order, within bounds."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_drive import HEIGHT, WIDTH, ColourTeacher, make_scene

from langocc.errors import DataError
from langocc.features.extract import extract_features
from langocc.features.look_ahead import LOOK_AHEAD, READ_AHEAD, LookAhead, Planned
from langocc.features.pixels import PixelRays, unmeasured
from langocc.features.prepare import prepare_rays
from langocc.features.scene_writer import CodecConfig, looking_order
from langocc.features.sources import RayConfig
from langocc.scenes.dataset import Dataset
from langocc.scenes.images import read_image

CPU = torch.device("cpu")


class Watched(ColourTeacher):
    """Counts images."""

    images = 0

    def dense(self, images):
        self.images += len(images)
        return super().dense(images)


def some_rays(cameras: int) -> PixelRays:
    generator = np.random.default_rng(0)
    rays = unmeasured(generator.uniform(1, 80, (90, 2)), 0)
    return replace(rays, cameras=generator.integers(0, cameras, 90).astype(np.uint8))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    return {name: make_scene(folder, name, 6, seed) for seed, name in enumerate("ab")}


def ahead_of(scenes, teacher, pool, started=None):
    def plan():
        for scene, frames in scenes.items():
            for index, frame in enumerate(frames):
                if started is not None:
                    started.append((scene, index))
                yield Planned(scene, index, frame, lambda: some_rays(3))

    return LookAhead(plan(), teacher, None, CPU, pool)


def test_frames_come_in_order_and_only_so_many_are_begun(scenes):
    teacher, started = Watched(), []
    with ThreadPoolExecutor(2) as pool:
        ahead = ahead_of(scenes, teacher, pool, started)
        for taken, (scene, index) in enumerate((s, i) for s in "ab" for i in range(6)):
            assert ahead.take(scene)[0] == index
            assert len(started) == min(taken + 1 + LOOK_AHEAD + READ_AHEAD, 12)
            assert teacher.images == 3 * min(taken + 1 + LOOK_AHEAD, 12)


def test_a_scene_that_is_dropped_is_looked_at_no_more(scenes):
    teacher = Watched()
    with ThreadPoolExecutor(2) as pool:
        ahead = ahead_of(scenes, teacher, pool)
        ahead.take("a")
        with pytest.raises(ValueError, match="expected scene a, got b"):
            ahead.take("b")
    teacher = Watched()
    with ThreadPoolExecutor(2) as pool:
        ahead = ahead_of(scenes, teacher, pool)
        ahead.take("a")
        ahead.drop("a")
        assert [ahead.take("b")[0] for _ in range(6)] == list(range(6))
    assert teacher.images == 3 * (1 + LOOK_AHEAD + 6)


def test_damage_is_told_when_the_turn_of_its_frame_has_come(scenes, tmp_path):
    frames = list(scenes["b"])
    camera = replace(frames[0].cameras["CAM_1"], image_path=tmp_path / "gone.jpg")
    frames[0] = replace(frames[0], cameras={**frames[0].cameras, "CAM_1": camera})
    with ThreadPoolExecutor(2) as pool:
        ahead = ahead_of({"a": scenes["a"][:2], "b": frames}, Watched(), pool)
        assert [ahead.take("a")[0] for _ in range(2)] == [0, 1]
        with pytest.raises(DataError, match=r"gone\.jpg"):
            ahead.take("b")


def test_cameras_of_different_sizes_are_read_at_their_own(tmp_path):
    """Every ray keeps its place, though cameras of a size are looked at together."""
    frame = make_scene(tmp_path, "a", 1)[0]
    smaller = frame.cameras["CAM_1"]
    Image.fromarray(read_image(smaller.image_path)[:80, :120]).save(smaller.image_path)
    cameras = {**frame.cameras, "CAM_1": replace(smaller, width=120, height=80)}
    drive = Dataset(tmp_path, {"a": [replace(frame, cameras=cameras)]}, {})
    rays, _ = prepare_rays(drive, ["a"], RayConfig(source="random"), tmp_path / "rays")
    teacher = ColourTeacher()
    codec = CodecConfig("fp16")
    store, _ = extract_features(drive, rays, ["a"], tmp_path / "store", teacher, None, codec)
    rows = store.shard("a").read("a-0")
    found = store.shard("a").codec.decode(torch.from_numpy(rows["code"].copy()))
    assert set(rows["camera"]) == {0, 1, 2}
    for index, camera in enumerate(cameras.values()):
        image = torch.from_numpy(read_image(camera.image_path))
        ours = rows["camera"] == index
        dense = teacher.dense(image.permute(2, 0, 1)[None])[0]
        row_col = torch.from_numpy(rows["pixel"][ours].copy())
        expected = teacher.sample(dense, row_col, (camera.height, camera.width))
        torch.testing.assert_close(found[torch.from_numpy(ours)], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("count", [1, 4, 8, 9, 40])
def test_every_frame_is_in_the_order_once_and_those_of_the_fit_come_first(count):
    assert looking_order(count, CodecConfig("int8")) == list(range(count))
    order = looking_order(count, CodecConfig("pca-int8"))
    assert sorted(order) == list(range(count))
    first = order[: min(8, count)]
    assert first == sorted(first)
    assert {0, count - 1} <= set(first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("codec", ["int8", "pca-int8"])
def test_on_a_gpu_runs_agree_to_the_byte_and_with_the_processor(scenes, tmp_path, codec):
    """A second stream works on the next frames: a result read too early would differ."""
    drive = Dataset(tmp_path, scenes, {})
    config = RayConfig(source="random", rays_per_frame=6000)
    rays, _ = prepare_rays(drive, ["a", "b"], config, tmp_path / "rays")

    class OnGpu(ColourTeacher):
        def __init__(self):
            super().__init__()
            self.mix = self.mix.cuda()
            self.size = torch.tensor([HEIGHT, WIDTH], device="cuda")

        def dense(self, images):
            torch.cuda._sleep(20_000_000)  # long enough that nothing is done when it is asked for
            return super().dense(images)

        def sample(self, dense, row_col, image_size):
            at = (row_col / self.size * 2 - 1).flip(-1)[None, None]
            read = torch.nn.functional.grid_sample(
                dense[None], at, padding_mode="border", align_corners=False
            )
            return torch.nn.functional.normalize(read[0, :, 0].T, dim=-1)

    made = []
    for name, teacher, device in (
        ("cpu", ColourTeacher(), "cpu"),
        ("one", OnGpu(), "cuda"),
        ("two", OnGpu(), "cuda"),
    ):
        store, _ = extract_features(
            drive,
            rays,
            ["a", "b"],
            tmp_path / name,
            teacher,
            None,
            CodecConfig(codec, 12),
            device=device,
        )
        made.append(store)
    for scene in scenes:
        one, two = (store.path_of(scene).read_bytes() for store in made[1:])
        assert one == two
        for frame in scenes[scene]:
            decoded = [
                store.shard(scene).codec.decode(
                    torch.from_numpy(store.shard(scene).read(frame.token)["code"].copy())
                )
                for store in made[:2]
            ]
            torch.testing.assert_close(*decoded, atol=0.03, rtol=0)
