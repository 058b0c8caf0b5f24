"""Rays of augmented samples still land on what the network sees there: colours say so."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_drive import HEIGHT, WIDTH, make_scene

from langocc.features.extract import extract_features
from langocc.features.loader import TrainingSet
from langocc.features.packed import PackedBatch
from langocc.features.prepare import prepare_rays
from langocc.features.sample import SampleConfig
from langocc.features.scene_writer import CodecConfig
from langocc.features.sources import RayConfig
from langocc.model.projection import key_from_cam
from langocc.model.quirks import NONE
from langocc.scenes.dataset import Dataset

CONFIG = SampleConfig(
    input_size=(128, 48), frames=1, horizon=0, rays=2000, colours=True, features=False
)


def painted(camera: int) -> np.ndarray:
    """A picture whose colour tells the place: red grows to the right, green down, blue waves."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    blue = 0.5 + 0.5 * np.sin(u / 25.0 + v / 30.0 + camera)
    colours = np.stack([u / WIDTH, v / HEIGHT, blue], axis=-1)
    return (40 + 200 * colours).astype(np.uint8)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> TrainingSet:
    folder = tmp_path_factory.mktemp("painted")
    frames = make_scene(folder, "scene-p", 1)
    for camera, seen in enumerate(frames[0].cameras.values()):
        Image.fromarray(painted(camera)).save(seen.image_path, quality=95, subsampling=0)
    drive = Dataset(folder, {"scene-p": frames}, {"train": ["scene-p"]})
    rays = RayConfig(source="random", rays_per_frame=3000)
    ray_store, _ = prepare_rays(drive, ["scene-p"], rays, folder / "rays")
    codec = CodecConfig("none")
    store, _ = extract_features(drive, ray_store, ["scene-p"], folder / "store", None, None, codec)
    return TrainingSet(drive, store, CONFIG, [frames[0].token])


def places(sample: PackedBatch, unflipped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Camera and input pixel (u, v) of each ray; `unflipped` undoes the flip of the ego frame."""
    rig = sample.rig
    ego_from_cam = key_from_cam(rig, 0, NONE)[0]
    origins = sample.rays.origins[0].double() @ unflipped.T
    directions = sample.rays.directions[0].double() @ unflipped.T
    cams = torch.cdist(origins, ego_from_cam[:, :3, 3]).argmin(1)
    in_cam = torch.einsum("rji,rj->ri", ego_from_cam[cams, :3, :3], directions)
    image = torch.einsum("rij,rj->ri", rig.intrinsics[0, 0, cams], in_cam)
    image = image / image[:, 2:]
    seen = torch.einsum("rij,rj->ri", rig.input_from_image[0, cams], image)
    return cams, seen[:, :2]


def colour_errors(sample: PackedBatch, cams: torch.Tensor, uv: torch.Tensor) -> tuple[float, float]:
    """Mean difference (0 to 1) of rays' colours and their input pixels; the same, shuffled."""
    width, height = CONFIG.input_size
    at = uv.round().long()
    inside = (at >= 0).all(1) & (at[:, 0] < width) & (at[:, 1] < height)
    assert inside.float().mean() > 0.2
    pixels = sample.images[0, 0, cams[inside], at[inside, 1], at[inside, 0]].float()
    # The picture is nowhere black: black was cut off before the rotation brought it in.
    is_shown = pixels.sum(1) > 60
    assert is_shown.float().mean() > 0.5
    pixels, colours = pixels[is_shown], sample.rays.rgb[0][inside][is_shown].float()
    shuffled = colours[torch.randperm(len(colours), generator=torch.Generator().manual_seed(0))]
    errors = [float((pixels - seen).abs().mean() / 255) for seen in (colours, shuffled)]
    return errors[0], errors[1]


@pytest.mark.parametrize("number", range(8))
def test_augmented_rays_land_on_their_pixels(samples, number):
    sample = samples[number]
    flip = sample.rig.augmented_from_ego[0]
    error, shuffled = colour_errors(sample, *places(sample, flip.T))
    # The colours change by about 0.01 a pixel. Rounding to pixels costs half of one, the published
    # flip (x' = width - x) a whole one.
    assert error < 0.015
    assert shuffled > 0.15


def test_without_the_augmentation_they_would_not(samples):
    """All eight flips of image and ego frame are among the draws; each matters."""
    drawn = [samples[number] for number in range(8)]
    flips = {tuple(sample.rig.augmented_from_ego[0].diagonal().tolist()) for sample in drawn}
    assert len(flips) >= 3
    mirrored = [bool(s.rig.input_from_image[0, 0].det() < 0) for s in drawn]
    assert len(set(mirrored)) == 2
    turned = next(s for s in drawn if s.rig.augmented_from_ego[0, 1, 1] < 0)
    cams, uv = places(turned, torch.eye(3).double())
    uv = uv.nan_to_num(0.0).clamp(min=torch.zeros(2), max=torch.tensor(CONFIG.input_size) - 1.0)
    assert colour_errors(turned, cams, uv)[0] > 0.08
