"""Training samples: which rays are drawn, what a batch holds, and that workers do not matter."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from small_drive import ColourTeacher, make_scene
from torch.utils.data import DataLoader

from langocc.batch import Batch
from langocc.errors import ConfigError, DataError
from langocc.features.extract import extract_features
from langocc.features.loader import TrainingSet, collate
from langocc.features.pixels import SKY
from langocc.features.prepare import prepare_rays
from langocc.features.rays import cast_pixels, scene_geometry
from langocc.features.sample import SampleConfig, for_inference, load_sample
from langocc.features.scene_writer import CodecConfig
from langocc.features.sources import RayConfig
from langocc.features.targets import sky_rule
from langocc.features.window import draw_counts, draw_rows, window_indices
from langocc.geometry.augment import PUBLISHED_RANGES
from langocc.geometry.rigid import transform_points
from langocc.scenes.dataset import Dataset
from langocc.scenes.lidar import read_points
from langocc.teachers.text import Vocabulary

WORDS = Vocabulary("words", ("sky", "road", "wall"), (0, 11, 15))
SMALL = SampleConfig(input_size=(64, 32), rays=200, horizon=2, augment=None)


def make_store(drive, folder, codec="fp16", **values):
    config = RayConfig(**{"source": "random", "rays_per_frame": 150} | values)
    rays, _ = prepare_rays(drive, list(drive.scenes), config, folder / "rays")
    teacher = ColourTeacher()
    return extract_features(
        drive,
        rays,
        list(drive.scenes),
        folder / "store",
        teacher,
        sky_rule(teacher, WORDS),
        CodecConfig(codec, components=12),
    )[0]


@pytest.fixture(scope="module")
def store(drive, tmp_path_factory):
    return make_store(drive, tmp_path_factory.mktemp("store"))


def generator(seed=0):
    return np.random.default_rng(seed)


class TestWindow:
    def test_frames_outside_the_scene_are_the_key_frame(self):
        assert window_indices(0, 4, 2) == [0, 0, 0, 1, 2]
        assert window_indices(3, 4, 2) == [1, 2, 3, 3, 3]
        assert window_indices(0, 1, 12) == [0] * 25
        assert len(window_indices(20, 40, 12)) == 25

    def test_counts_are_drawn_without_replacement(self):
        for seed in range(20):
            counts = draw_counts([5, 0, 7, 100], 60, generator(seed))
            assert counts.sum() == 60
            assert (counts <= [5, 0, 7, 100]).all()
        assert draw_counts([5, 0, 7], 12, generator()).tolist() == [5, 0, 7]
        assert draw_counts([0, 0], 9, generator()).tolist() == [0, 0]

    def test_a_small_pool_is_repeated_evenly(self):
        counts = draw_counts([3, 7], 25, generator())
        assert counts.sum() == 25
        assert 6 <= counts[0] <= 9

    def test_every_pooled_ray_has_the_same_chance(self, drive, store):
        """Chi-squared over all rays of the window, of which the key frame stands in twice.

        Draws of one sample are not independent (slices), so counts of a ray over independent
        samples are compared: each is binomial with the same chance, whatever the dependence
        between rays. The sum of squared deviations of *spaced* rays, far from each other, is
        nearly independent and tested against chi-squared; all rays are tested for their mean.
        """
        shard = store.shard("scene-a")
        tokens = [f"scene-a-{i}" for i in window_indices(1, 5, 2)]  # 1, 0, 1, 2, 3
        samples, rays = 3000, 200
        counts = np.zeros((5, 150))
        row_of = {}
        for token in set(tokens):
            for row, content in enumerate(shard.read(token)):
                row_of[token, content.tobytes()] = row
        random = generator(7)
        for _ in range(samples):
            rows, slots = draw_rows(shard, tokens, rays, random)
            for slot in range(5):
                places = [row_of[tokens[slot], row.tobytes()] for row in rows[slots == slot]]
                counts[slot, places] += 1
        chance = rays / (5 * 150)
        expected = samples * chance
        variance = samples * chance * (1 - chance)
        # each ray: within 5 standard deviations (750 rays: chance of a false alarm 4e-4)
        assert np.abs(counts - expected).max() < 5 * np.sqrt(variance)
        # rays half a frame apart are hardly ever in one slice
        spaced = counts[:, [10, 85]]
        statistic = ((spaced - expected) ** 2 / variance).sum()
        assert chi2.ppf(0.001, spaced.size) < statistic < chi2.ppf(0.999, spaced.size)
        # and each frame gives its share, as the hypergeometric law has it
        per_frame = counts.sum(axis=1) / samples
        spread = np.sqrt(rays * 0.2 * 0.8 * (750 - rays) / 749 / samples)
        assert np.abs(per_frame - 40).max() < 4 * spread

    def test_frames_of_unequal_size_give_in_proportion(self):
        total = sum(draw_counts([100, 300, 600], 100, generator(s)) for s in range(2000))
        np.testing.assert_allclose(total / 2000, [10, 30, 60], rtol=0.02)


class TestRays:
    def test_rays_are_those_of_the_rows(self, drive, store):
        """Recomputed from the drawn rows with the same random state, row by row."""
        frames = drive.scenes["scene-a"]
        sample = load_sample(drive, store, "scene-a-1", SMALL, generator(3))
        window, geometry = window_indices(1, 5, 2), scene_geometry(frames)
        shard = store.shard("scene-a")
        rows, slots = draw_rows(shard, [frames[i].token for i in window], 200, generator(3))
        assert sample.rays.origins.shape == (1, 200, 3)
        for ray in range(0, 200, 7):
            frame, camera = window[slots[ray]], int(rows["camera"][ray])
            origin, direction = cast_pixels(
                rows["pixel"][ray : ray + 1],
                np.zeros(1, int),
                np.array([camera]),
                geometry.key_from_cam(1, [frame]),
                geometry.unprojected_by(1, [frame], "own"),
            )
            np.testing.assert_allclose(sample.rays.origins[0, ray], origin[0], atol=1e-5)
            np.testing.assert_allclose(sample.rays.directions[0, ray], direction[0], atol=1e-6)
        features = shard.codec.decode(torch.from_numpy(rows["code"].copy()))
        is_sky = torch.from_numpy((rows["flags"] & SKY) > 0)
        assert torch.equal(sample.rays.is_sky[0], is_sky)
        assert 10 < is_sky.sum() < 150
        assert torch.equal(sample.rays.features[0][~is_sky], features[~is_sky])
        assert (sample.rays.features[0][is_sky] == 0).all()
        assert not (sample.rays.is_hit & sample.rays.is_sky).any()

    def test_a_flip_of_the_ego_frame_flips_rays_and_rig_alike(self, drive, store):
        flipping = replace(SMALL, augment=PUBLISHED_RANGES)
        seen = set()
        for seed in range(12):
            sample = load_sample(drive, store, "scene-a-2", flipping, generator(seed))
            flip = sample.rig.augmented_from_ego[0]
            seen.add(tuple(flip.diagonal().tolist()))
            back = sample.rays.origins[0].double() @ flip
            # all cameras sit 0.9 to 1.6 m above ground and drive along x within the window
            assert ((back[:, 2] > 1.0) & (back[:, 2] < 2.0)).all()
            camera_x = back[:, 0]
            assert camera_x.min() > -4.5
            assert camera_x.max() < 6.5
        assert len(seen) == 4

    def test_colours_weights_and_bare_rays_on_request(self, drive, store):
        config = replace(SMALL, colours=True, features=False, unsure_weight=0.25)
        rays = load_sample(drive, store, "scene-a-1", config, generator()).rays
        assert rays.features is None
        assert 0 <= rays.rgb.min() < rays.rgb.max() <= 1
        unsure = ~(rays.is_sky | rays.is_hit)
        assert 0 < unsure.sum() < 200
        assert (rays.weights[unsure] == 0.25).all()
        assert (rays.weights[~unsure] == 1).all()

    def test_more_rays_than_the_pool_has_repeat(self, drive, store):
        config = replace(SMALL, rays=2000, horizon=0)
        rays = load_sample(drive, store, "scene-c-0", config, generator()).rays
        assert rays.origins.shape == (1, 2000, 3)
        distinct = np.unique(rays.directions[0].numpy(), axis=0)
        assert len(distinct) == 150

    def test_a_window_without_rays_is_named(self, tmp_path):
        frames = make_scene(tmp_path, "a", 3)
        drive = Dataset(tmp_path, {"a": [replace(frames[0], lidar=None), *frames[1:]]}, {})
        store = make_store(drive, tmp_path, source="lidar_pixels")
        with pytest.raises(DataError, match="no rays in the 1 frames around a-0"):
            load_sample(drive, store, "a-0", replace(SMALL, horizon=0), generator())
        # with its neighbours it trains
        assert load_sample(drive, store, "a-0", SMALL, generator()).rays.origins.shape[1] == 200

    @pytest.mark.parametrize("augment", [None, PUBLISHED_RANGES])
    def test_measured_ranges_lead_to_the_points(self, drive, tmp_path, augment):
        store = make_store(drive, tmp_path, source="lidar_pixels")
        config = replace(SMALL, rays=100, horizon=0, augment=augment, ranges=True)
        batch = load_sample(drive, store, "scene-a-1", config, generator())
        rays, lidar = batch.rays, drive.frame("scene-a-1").lidar
        assert (rays.range_m > 0).all()
        ends = (rays.origins + rays.range_m[..., None] * rays.directions)[0].double()
        ego = ends @ batch.rig.augmented_from_ego[0].double()  # the inverse of a flip
        points = transform_points(lidar.ego_from_lidar, read_points(lidar)[:, :3].astype(float))
        nearest = torch.cdist(ego, torch.from_numpy(points).nan_to_num(1e6)).amin(dim=1)
        assert float(nearest.max()) < 0.03  # the store rounds depth to 11 bits

    def test_damage_is_named(self, drive, tmp_path):
        store = make_store(drive, tmp_path)
        path = store.path_of("scene-b")
        content = bytearray(path.read_bytes())
        content[5000] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"scene-b\.shard: damaged rows of frame scene-b-0"):
            load_sample(drive, store, "scene-b-1", replace(SMALL, rays=400), generator())
        load_sample(drive, store, "scene-a-1", SMALL, generator())


class TestImagesAndRig:
    def test_frames_run_from_new_to_old_and_the_key_stands_in(self, drive):
        config = replace(for_inference(SMALL), decode="exact")
        third = load_sample(drive, None, "scene-a-2", config, generator())
        first = load_sample(drive, None, "scene-a-0", config, generator())
        second = load_sample(drive, None, "scene-a-1", config, generator())
        assert third.images.shape == (1, 3, 3, 3, 32, 64)
        assert third.rays is None
        assert torch.equal(third.images[0, 1], second.images[0, 0])
        assert torch.equal(third.images[0, 2], first.images[0, 0])
        for past in (1, 2):
            assert torch.equal(first.images[0, past], first.images[0, 0])
        assert torch.equal(second.images[0, 1], first.images[0, 0])
        assert torch.equal(second.images[0, 2], second.images[0, 0])

    def test_rig_is_the_frames_calibration(self, drive):
        sample = load_sample(drive, None, "scene-a-2", for_inference(SMALL), generator())
        for past in range(3):
            frame = drive.scenes["scene-a"][2 - past]
            for cam, camera in enumerate(frame.cameras.values()):
                for name in ("intrinsics", "ego_from_cam", "global_from_ego"):
                    found = getattr(sample.rig, name)[0, past, cam].numpy()
                    np.testing.assert_array_equal(found, getattr(camera, name))
        assert torch.equal(sample.rig.augmented_from_ego[0], torch.eye(3, dtype=torch.float64))
        key_pose = drive.scenes["scene-a"][2].global_from_ego
        np.testing.assert_array_equal(sample.rig.global_from_key[0].numpy(), key_pose)
        scale = sample.rig.input_from_image[0, 0, 0, 0]
        assert scale == 64 / 160

    def test_one_draw_per_camera_for_all_frames(self, drive, store):
        config = replace(SMALL, augment=PUBLISHED_RANGES, decode="exact")
        sample = load_sample(drive, store, "scene-a-0", config, generator(1))
        assert torch.equal(sample.images[0, 0], sample.images[0, 1])  # the key stands in
        matrices = sample.rig.input_from_image[0]
        assert not torch.equal(matrices[0], matrices[1])


class TestLoader:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_workers_do_not_matter(self, drive, store, workers):
        config = replace(SMALL, augment=PUBLISHED_RANGES, cache_bytes=10**6)
        tokens = [frame.token for frame in drive.frames("train")]
        samples = TrainingSet(drive, store, config, tokens, seed=5)
        loader = DataLoader(samples, batch_size=2, num_workers=workers, collate_fn=collate)
        expected = [samples[i].to("cpu") for i in range(len(samples))]
        for packed, start in zip(loader, range(0, 6, 2), strict=True):
            batch = packed.to("cpu")
            assert batch.tokens == tuple(tokens[start : start + 2])
            for index in range(2):
                one = expected[start + index]
                assert torch.equal(batch.images[index], one.images[0])
                assert torch.equal(batch.rays.features[index], one.rays.features[0])
                assert torch.equal(batch.rig.input_from_image[index], one.rig.input_from_image[0])

    def test_another_epoch_draws_anew(self, drive, store):
        config = replace(SMALL, augment=PUBLISHED_RANGES)
        samples = TrainingSet(drive, store, config, ["scene-a-1", "scene-a-2"])
        first, again, later = (samples[number].to("cpu") for number in (0, 0, 2))
        assert first.tokens == later.tokens
        assert torch.equal(first.images, again.images)
        assert not torch.equal(first.images, later.images)
        assert not torch.equal(first.rays.directions, later.rays.directions)

    def test_missing_scenes_and_no_frames_are_named(self, drive, store, tmp_path):
        with pytest.raises(DataError, match="no key frames"):
            TrainingSet(drive, store, SMALL, [])
        part = make_store(Dataset(drive.root, {"scene-b": drive.scenes["scene-b"]}, {}), tmp_path)
        with pytest.raises(DataError, match="1 of 2 scenes have no shard, the first is scene-a"):
            TrainingSet(drive, part, SMALL, ["scene-a-0", "scene-b-0"])

    def test_rays_without_a_store_are_refused(self, drive):
        with pytest.raises(ConfigError, match="no store"):
            load_sample(drive, None, "scene-a-0", SMALL, generator())

    def test_collate_refuses_unlike_samples(self, drive, store):
        with_rays = load_sample(drive, store, "scene-a-0", SMALL, generator())
        without = load_sample(drive, store, "scene-a-0", for_inference(SMALL), generator())
        coloured = load_sample(drive, store, "scene-a-0", replace(SMALL, colours=True), generator())
        with pytest.raises(ValueError, match="some samples have rays"):
            collate([with_rays, without])
        with pytest.raises(ValueError, match="have rgb"):
            collate([with_rays, coloured])
        with pytest.raises(ValueError, match="at least one"):
            collate([])
        both = collate([without, without])
        assert isinstance(both, Batch)
        assert both.images.shape[0] == 2

    @pytest.mark.parametrize("codec", ["fp16", "int8", "pca-int8"])
    def test_packed_and_plain_collation_agree(self, drive, tmp_path, codec):
        """Scenes have codecs of their own, and a batch mixes scenes."""
        store = make_store(drive, tmp_path, codec)
        config = replace(SMALL, colours=True, unsure_weight=0.5, swap_rgb=True, ranges=True)
        samples = TrainingSet(drive, store, config, ["scene-a-1", "scene-b-2"])
        packed = collate([samples[0], samples[1]]).to("cpu")
        plain = collate([samples[0].to("cpu"), samples[1].to("cpu")])
        for part in ("images", "rig", "rays"):
            one, other = getattr(packed, part), getattr(plain, part)
            pairs = (
                [(one, other)]
                if part == "images"
                else zip(vars(one).values(), vars(other).values(), strict=True)
            )
            for left, right in pairs:
                assert torch.equal(left, right)

    def test_packed_samples_travel_light(self, drive, store, tmp_path):
        store = make_store(drive, tmp_path, "int8")
        sample = TrainingSet(drive, store, SMALL, ["scene-a-1"])[0]
        ready = sample.to("cpu")
        assert sample.images.nbytes * 4 == ready.images.nbytes
        assert sample.rays.codes.nbytes * 3.5 < ready.rays.features.nbytes

    @pytest.mark.parametrize(
        "values", [{"rays": -1}, {"frames": 0}, {"horizon": -1}, {"input_size": (0, 4)}]
    )
    def test_impossible_samples_are_refused(self, values):
        with pytest.raises(ConfigError, match="sample: expected"):
            SampleConfig(**values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("codec", ["fp16", "int8", "pca-int8", "pca-int4"])
def test_unpacking_on_the_gpu_gives_the_same(drive, tmp_path, codec):
    store = make_store(drive, tmp_path, codec)
    config = replace(SMALL, colours=True, unsure_weight=0.5, swap_rgb=True, ranges=True)
    samples = TrainingSet(drive, store, config, ["scene-a-1", "scene-b-2"])
    packed = collate([samples[0], samples[1]])
    here, there = packed.to("cpu"), packed.pin_memory().to("cuda")
    torch.testing.assert_close(there.images.cpu(), here.images, rtol=0, atol=1e-6)
    for name, value in vars(here.rays).items():
        # the product with the basis may be rounded to TF32's 10 bits
        torch.testing.assert_close(getattr(there.rays, name).cpu(), value, rtol=0, atol=2e-3)


def test_rays_know_whether_they_are_of_another_time(drive, store):
    """Scene c has one frame, which stands in for all of its neighbours."""
    tokens = ["scene-a-2", "scene-c-0"]
    samples = TrainingSet(drive, store, SMALL, tokens)
    several, alone = (samples[number].to("cpu").rays.is_other_time for number in (0, 1))
    assert several.float().mean() == pytest.approx(4 / 5, abs=0.1)
    assert not alone.any()
