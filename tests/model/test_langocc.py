"""The whole network: shapes for every configuration, what gradients reach, what is refused."""

from dataclasses import replace

import pytest
import torch
from model_kit import SMALL, random_images, ring_rig

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rig import CameraRig
from langocc.model.config import BackboneConfig, DepthConfig, ModelConfig
from langocc.model.langocc import LangOcc
from langocc.model.quirks import NONE, PUBLISHED
from langocc.presets import MODELS


def build(config: ModelConfig) -> LangOcc:
    torch.manual_seed(0)
    return LangOcc(config)


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("full", 35_686_783),
        ("reduced", 35_653_631),
        ("rgb", 35_562_138),
        ("tiny", 1_410_683),
        ("small", 3_798_375),
    ],
)
def test_parameter_counts(preset: str, count: int) -> None:
    assert sum(p.numel() for p in LangOcc(MODELS[preset]).parameters()) == count


@pytest.mark.parametrize("history_frames", [0, 1, 2, 3])
@pytest.mark.parametrize("stereo", [True, False])
def test_any_history(history_frames: int, stereo: bool) -> None:
    if stereo and history_frames == 0:
        with pytest.raises(ValueError, match="stereo: expected at least one"):
            replace(SMALL, history_frames=0, stereo=True)
        return
    config = replace(SMALL, history_frames=history_frames, stereo=stereo)
    with torch.no_grad():
        field = build(config).eval()(random_images(config), ring_rig(config))
    assert field.density.shape == (1, 20, 16, 4)
    assert config.lifted_frames == 1 + history_frames - stereo


@pytest.mark.parametrize(
    ("cams", "batch", "size", "grid"),
    [
        (1, 1, (48, 96), SMALL.grid),
        (5, 2, (64, 64), SMALL.grid),
        (3, 1, (50, 101), VoxelGrid((-5.0, -3.5, 0.0), (5.0, 3.5, 2.5), cell_m=0.5)),
        (2, 1, (33, 47), VoxelGrid((0.0, -1.0, 0.0), (3.0, 2.0, 1.0), cell_m=1.0)),
    ],
)
def test_any_rig_image_and_grid(
    cams: int, batch: int, size: tuple[int, int], grid: VoxelGrid
) -> None:
    config = replace(SMALL, input_size=size, grid=grid)
    images, rig = random_images(config, batch, cams), ring_rig(config, batch, cams)
    with torch.no_grad():
        field = build(config).eval()(images, rig)
    assert field.density.shape == (batch, *grid.shape)
    assert field.features.shape == (batch, *grid.shape, 64)
    assert field.density.isfinite().all()


@pytest.mark.parametrize(("variant", "out"), [("language", 512), ("rgb", 27)])
def test_heads(variant: str, out: int) -> None:
    config = replace(SMALL, variant=variant)
    model = build(config).eval()
    with torch.no_grad():
        field = model(random_images(config), ring_rig(config))
        answer = field.head(field.features)
    assert field.variant == variant
    assert answer.shape[-1] == out
    assert torch.equal(answer, field.head.last(field.head.hidden(field.features)))


def test_density_scale_only_scales() -> None:
    rig, images = ring_rig(SMALL), random_images(SMALL)
    with torch.no_grad():
        once = build(SMALL).eval()(images, rig).density
        scaled = replace(SMALL, head=replace(SMALL.head, density_scale=5.0))
        five = build(scaled).eval()(images, rig).density
    assert once.min() > 0
    assert once.max() < 1
    torch.testing.assert_close(five, 5 * once)


def test_features_of_a_voxel_lie_together() -> None:
    field = build(SMALL).eval()(random_images(SMALL), ring_rig(SMALL))
    assert field.features.is_contiguous()


def test_gradients_reach_the_key_frame_alone() -> None:
    images = random_images(SMALL).requires_grad_()
    model = build(SMALL).train()
    field = model(images, ring_rig(SMALL))
    (field.density.mean() + field.head(field.features).mean()).backward()
    assert images.grad is not None
    assert images.grad[:, 0].abs().max() > 0
    assert images.grad[:, 1:].abs().max() == 0
    assert all(p.grad is not None for p in model.parameters())


def test_every_frame_matters() -> None:
    model, rig = build(SMALL).eval(), ring_rig(SMALL)
    images = random_images(SMALL)
    with torch.no_grad():
        before = model(images, rig).features
        for frame in range(3):
            changed = images.clone()
            changed[:, frame] = -changed[:, frame]
            assert (model(changed, rig).features - before).abs().max() > 1e-6, frame


def test_samples_do_not_mix() -> None:
    model = build(SMALL).eval()
    images, rig = random_images(SMALL, batch=2), ring_rig(SMALL, batch=2)
    with torch.no_grad():
        both = model(images, rig)
        second = model(images[1:], ring_rig(SMALL))
    torch.testing.assert_close(both.features[1:], second.features)


def test_the_order_of_cameras_does_not_matter() -> None:
    """But for the first: the key ego frame is its (all poses are equal here)."""
    model = build(SMALL).eval()
    images, rig = random_images(SMALL), ring_rig(SMALL)
    order = [2, 0, 5, 1, 4, 3]
    turned = CameraRig(
        rig.intrinsics[:, :, order],
        rig.ego_from_cam[:, :, order],
        rig.global_from_ego[:, :, order],
        rig.input_from_image[:, order],
        rig.augmented_from_ego,
    )
    with torch.no_grad():
        one = model(images, rig).features
        other = model(images[:, :, order], turned).features
    torch.testing.assert_close(one, other)


def test_the_world_may_be_moved() -> None:
    """Turning and shifting the global frame changes nothing: only relative poses count."""
    model, images, rig = build(SMALL).eval(), random_images(SMALL), ring_rig(SMALL)
    motion = torch.eye(4, dtype=torch.float64)
    motion[:2, :2] = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    motion[:3, 3] = torch.tensor([-3000.0, 500.0, 7.0])
    moved = replace(rig, global_from_ego=motion @ rig.global_from_ego)
    with torch.no_grad():
        here, there = model(images, rig).features, model(images, moved).features
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("recompute", [False, True])
def test_batch_norm_passes(recompute: bool) -> None:
    """Three passes of the stem and layer1, two of the rest; recomputing adds one of the key's."""
    backbone = BackboneConfig(width=16, blocks=(1, 1, 1, 1), recompute=recompute)
    config = replace(SMALL, backbone=backbone)
    model = build(config).train()
    model(random_images(config), ring_rig(config)).density.mean().backward()
    counts = {n: int(b) for n, b in model.named_buffers() if n.endswith("num_batches_tracked")}
    assert counts["backbone.bn1.num_batches_tracked"] == 3
    assert counts["backbone.layer1.0.bn1.num_batches_tracked"] == 3 + recompute
    assert counts["backbone.layer4.0.bn3.num_batches_tracked"] == 2 + recompute
    assert counts["depth_net.camera_norm.num_batches_tracked"] == 2
    assert counts["pre_process.norm1.num_batches_tracked"] == 2
    assert counts["encoder.stages.0.0.norm1.num_batches_tracked"] == 1


def test_recomputing_gives_the_same_gradients() -> None:
    backbone = BackboneConfig(width=16, blocks=(1, 1, 1, 1))
    gradients = []
    for recompute in (False, True):
        depth = replace(SMALL.depth, dropout=0.0)
        config = replace(SMALL, backbone=replace(backbone, recompute=recompute), depth=depth)
        model = build(config).train()
        model(random_images(config), ring_rig(config)).density.mean().backward()
        gradients.append([p.grad for p in model.backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_it_learns_one_density() -> None:
    """The loss of one sample falls by half within a dozen steps."""
    model = build(replace(SMALL, depth=replace(SMALL.depth, dropout=0.0))).train()
    images, rig = random_images(SMALL), ring_rig(SMALL)
    target = (torch.arange(20) > 9).float()[None, :, None, None].expand(1, 20, 16, 4)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = torch.nn.functional.binary_cross_entropy(model(images, rig).density, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize(
    "quirk",
    ["key_pose_for_all_frames", "zero_feature_is_invalid", "truncated_cells"],
)
def test_each_quirk_changes_the_field(quirk: str) -> None:
    images, rig = random_images(SMALL), ring_rig(SMALL, speed_m=2.3)
    fields = []
    for value in (True, False):
        config = replace(SMALL, quirks=replace(PUBLISHED, **{quirk: value}))
        with torch.no_grad():
            fields.append(build(config).eval()(images, rig).features)
    assert (fields[0] - fields[1]).abs().max() > 1e-6


def test_without_quirks_the_field_lies_in_the_rigs_key_frame() -> None:
    """With them it lies in the first camera's ego frame, whatever the rig says."""
    rig = ring_rig(SMALL)
    shifted = rig.global_from_ego[:, 0, 0].clone()
    shifted[:, 0, 3] += 3.0
    moved = replace(rig, global_from_key=shifted)
    for quirks, is_moved in ((PUBLISHED, False), (NONE, True)):
        model = build(replace(SMALL, quirks=quirks))
        cells = model.voxels_of_points(rig, 0)
        other = model.voxels_of_points(moved, 0)
        assert (not torch.equal(cells, other)) == is_moved


def test_quirks_are_all_on_or_all_off() -> None:
    assert all(vars(PUBLISHED).values())
    assert not any(vars(NONE).values())


@pytest.mark.parametrize("on_faces", [True, False])
def test_rays_read_the_field_as_the_quirks_say(on_faces: bool) -> None:
    config = replace(SMALL, quirks=replace(PUBLISHED, values_on_faces=on_faces))
    field = build(config).eval()(random_images(config), ring_rig(config))
    outermost = SMALL.grid.lower_m[0] + (0 if on_faces else SMALL.grid.cell_m / 2)
    assert field.volume.box.lower_m[0] == outermost


def faulty_rig(**entries: torch.Tensor) -> CameraRig:
    """A rig past its own checks, as a caller without type checking could make it."""
    rig = ring_rig(SMALL)
    for name, value in entries.items():
        object.__setattr__(rig, name, value)
    return rig


def test_bad_images() -> None:
    model, rig = build(SMALL).eval(), ring_rig(SMALL)
    with pytest.raises(ValueError, match=r"images: expected .* 48, 96\], got .*48, 97"):
        model(torch.zeros(1, 3, 6, 3, 48, 97), rig)
    with pytest.raises(ValueError, match=r"images: expected \[batch, 3 frames"):
        model(torch.zeros(1, 2, 6, 3, 48, 96), rig)
    images = random_images(SMALL)
    images[0, 1, 2, 0, 5, 5] = float("nan")
    where = r"\[0, 1, 2, 0, 5, 5\]"
    with pytest.raises(ValueError, match=rf"images: expected finite numbers, got NaN .*at {where}"):
        model(images, rig)
    model.checks_values = False
    assert model(images, rig).density.isnan().any()


def test_bad_rigs() -> None:
    model, images, rig = build(SMALL).eval(), random_images(SMALL), ring_rig(SMALL)
    singular = rig.intrinsics.clone()
    singular[0, 1, 3] = torch.diag(torch.tensor([1260.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"rig\.intrinsics: .*singular one at \[0, 1, 3\]"):
        model(images, faulty_rig(intrinsics=singular))
    with pytest.raises(ValueError, match=r"rig\.global_from_ego: expected shape \(1, 3, 6, 4, 4\)"):
        model(images, faulty_rig(global_from_ego=rig.global_from_ego[:, :, :5]))
    with pytest.raises(ValueError, match=r"rig\.ego_from_cam: expected .* 4, 4\), got .*3, 4\)"):
        model(images, faulty_rig(ego_from_cam=rig.ego_from_cam[..., :3, :]))
    with pytest.raises(ValueError, match=r"rig\.ego_from_cam: expected rigid"):
        model(images, faulty_rig(ego_from_cam=2 * rig.ego_from_cam))
    with pytest.raises(ValueError, match=r"rig\.global_from_ego: expected finite"):
        model(images, faulty_rig(global_from_ego=rig.global_from_ego / 0))
    with pytest.raises(ValueError, match=r"rig\.intrinsics: expected float64"):
        model(images, faulty_rig(intrinsics=rig.intrinsics.float()))


def test_one_view_has_no_batch_statistics() -> None:
    model = build(SMALL).train()
    with pytest.raises(ValueError, match="two views or more"):
        model(random_images(SMALL, cams=1), ring_rig(SMALL, cams=1))


def test_bad_configurations() -> None:
    with pytest.raises(ValueError, match="history_frames: expected 0 or more, got -1"):
        ModelConfig(history_frames=-1)
    with pytest.raises(ValueError, match="input_size: expected 32 x 32"):
        ModelConfig(input_size=(16, 704))
    with pytest.raises(ValueError, match="depth: expected 0 < lower_m"):
        DepthConfig(lower_m=5.0, upper_m=1.0)


def test_initial_weights() -> None:
    """Method.md section 2: Kaiming before norms, Xavier in neck and heads, fan in for the ASPP."""
    weights = {n: p.detach() for n, p in build(MODELS["full"]).named_parameters()}
    expected_std = {
        "backbone.layer4.0.conv2.weight": (2 / (512 * 9)) ** 0.5,
        "encoder.stages.2.0.conv1.weight": (2 / (128 * 27)) ** 0.5,
        "depth_net.reduce.0.weight": (2 / (256 * 9)) ** 0.5,
        "depth_net.blocks.0.conv1.weight": (2 / (256 * 9)) ** 0.5,  # out 256, in 344
        "depth_net.pyramid.branches.1.0.weight": (2 / (256 * 9)) ** 0.5,  # in 256, out 96
        "neck.lateral32.weight": (2 / (2048 + 256)) ** 0.5,
        "head.last.weight": (2 / (256 + 512)) ** 0.5,
    }
    for name, std in expected_std.items():
        assert float(weights[name].std()) == pytest.approx(std, rel=0.02), name
    assert weights["neck.lateral32.weight"].abs().max() <= (6 / (2048 + 256)) ** 0.5
    for name in ("neck.smooth.bias", "density_head.last.bias", "depth_net.reduce.0.bias"):
        assert not weights[name].any(), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_gives_the_same_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """In full precision, but for single points on a voxel's border."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    images, rig = random_images(SMALL), ring_rig(SMALL)
    model = build(SMALL).eval()
    with torch.no_grad():
        here = model(images, rig)
        there = model.to("cuda")(images.cuda(), rig.to("cuda"))
    cells = model.voxels_of_points(rig.to("cuda"), 0).cpu()
    assert (cells != model.cpu().voxels_of_points(rig, 0)).float().mean() < 1e-3
    differs = (there.features.cpu() - here.features).abs() > 1e-3 * here.features.abs().max()
    assert differs.float().mean() < 1e-2
