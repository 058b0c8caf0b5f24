"""The engine for a GPU: on a processor the same function to rounding; on a GPU its graphs."""

import numpy as np
import pytest
import torch
from deploy_kit import drive, pictures, predictor, whole_pass
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from langocc.deploy.arrivals import augmentations_of
from langocc.deploy.compact import folded
from langocc.deploy.fast import Fast
from langocc.deploy.feeding import arrived
from langocc.deploy.plain_ops import plain_cost_volume, plain_splat
from langocc.deploy.stream import Stream
from langocc.features.sample import camera_rig
from langocc.field import FREE, VoxelField
from langocc.geometry.rig import CameraRig
from langocc.model import stages
from langocc.predictor import Predictor
from langocc.scenes.frame import Frame

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    ],
)


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 means float32 on a GPU, too."""
    if not torch.cuda.is_available():
        return
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def vectors(count: int = 20) -> torch.Tensor:
    drawn = torch.randn(count, 512, generator=torch.Generator().manual_seed(1))
    return nn.functional.normalize(drawn, dim=-1)


def rig_of(shown: list[Frame]) -> CameraRig:
    return camera_rig(shown[0], shown, augmentations_of(shown[0], (96, 48)), np.eye(3))


def fast(made: Predictor, dtype: torch.dtype) -> Fast:
    return Fast(made.model, vectors().to(made.device), swap_rgb=False, dtype=dtype)


def test_folding_leaves_the_function_and_one_norm() -> None:
    """That of camera numbers, which has no convolution before it. The original stays."""
    made, frames = predictor(), drive(3)[::-1]
    expected = whole_pass(made, frames)
    model = folded(made.model)
    left = [n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert left == ["depth_net.camera_norm"]
    assert torch.equal(whole_pass(made, frames).density, expected.density)
    slim = Predictor(model, made.config, {}, {}, made.device)
    torch.testing.assert_close(whole_pass(slim, frames).density, expected.density)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize(
    ("history_frames", "stereo"), [(0, False), (1, True), (2, True), (2, False)]
)
@pytest.mark.parametrize("narrow", [False, True])
def test_a_fast_stream_follows_an_exact_one(
    device: str, history_frames: int, stereo: bool, narrow: bool
) -> None:
    """In float32 to its rounding; in bfloat16 to that of 8 bits through thirty layers."""
    dtype = torch.bfloat16 if narrow else torch.float32
    made = predictor(device=device, history_frames=history_frames, stereo=stereo)
    quick, exact = Stream(made, engine=fast(made, dtype)), Stream(made)
    for frame in drive(4):
        one, other = quick.push(frame, pictures(frame)), exact.push(frame, pictures(frame))
        assert one.shown == other.shown
        apart = (one.field.density - other.field.density).abs()
        assert apart.max() < (0.05 if narrow else 1e-3)
        assert apart.mean() < (0.01 if narrow else 1e-4)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("history_frames", [1, 2])
def test_a_whole_pass_in_one_piece(device: str, history_frames: int) -> None:
    made = predictor(device=device, history_frames=history_frames)
    frames = drive(3)[::-1][: 1 + history_frames]
    engine = fast(made, torch.float32)
    inputs = torch.stack([arrived(made, frame, pictures(frame)).inputs for frame in frames])
    for _ in range(2):  # recorded, then replayed
        said = engine.whole(inputs.to(device), rig_of(frames))
    apart = (said.density - whole_pass(made, frames).density).abs()
    if device == "cpu":
        assert apart.max() < 1e-3
    else:  # single points on a voxel's border change sides
        assert (apart > 1e-3).float().mean() < 1e-2


def answered() -> tuple[VoxelField, VoxelField]:
    made, frame = predictor(), drive(1)[0]
    quick, exact = Stream(made, engine=fast(made, torch.float32)), Stream(made)
    return quick.push(frame, pictures(frame)).field, exact.push(frame, pictures(frame)).field


def test_prepared_answers_are_the_fields() -> None:
    prepared, field = answered()
    texts = 3 * vectors(5)[2:]
    torch.testing.assert_close(prepared.query(texts), field.query(texts), rtol=1e-3, atol=1e-4)
    for asked in (vectors(), vectors(7)):  # prepared, and others
        best, expected = prepared.classes(asked, 0.5), field.classes(asked, 0.5)
        assert (best != expected).float().mean() < 2e-3
        assert FREE in best
    ours, theirs = prepared.occupied(0.5), field.occupied(0.5)
    if torch.equal(ours.index, theirs.index):  # but for voxels on the threshold
        torch.testing.assert_close(ours.query(texts), theirs.query(texts), rtol=1e-3, atol=1e-4)
    assert abs(len(ours.index) - len(theirs.index)) <= 2


def test_colours_have_no_words() -> None:
    with pytest.raises(ValueError, match="expected one that was taught text, got rgb"):
        fast(predictor(variant="rgb"), torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_graph_is_for_its_shapes() -> None:
    engine = fast(predictor(device="cuda"), torch.bfloat16)
    engine.see(torch.zeros(3, 48, 96, 3, dtype=torch.uint8, device="cuda"))
    with pytest.raises(ValueError, match="engine: made for shapes"):
        engine.see(torch.zeros(2, 48, 96, 3, dtype=torch.uint8, device="cuda"))


class HostOperations(TorchDispatchMode):
    """Notes operations for which a GPU would wait for its host, or the host for it."""

    WAITS = ("_local_scalar_dense", "nonzero", "lift_fresh", "is_nonzero", "equal", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.WAITS:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_what_is_recorded_does_not_wait_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be part of a CUDA graph. Ops of fixed shapes stand in for the kernels."""
    monkeypatch.setitem(stages.COST_VOLUMES, "fused", plain_cost_volume)
    monkeypatch.setitem(stages.SPLATS, "fused", plain_splat)
    made, frames = predictor(), drive(3)
    engine = fast(made, torch.bfloat16)
    found = []
    for part in ("_see", "_match", "_answer", "_see_all", "_answer_all"):
        recorded = getattr(engine, part)
        monkeypatch.setattr(recorded, "function", watched(recorded.function, found))
    stream = Stream(made, engine=engine)
    for frame in frames:
        stream.push(frame, pictures(frame))
    shown = frames[::-1]
    inputs = torch.stack([arrived(made, frame, pictures(frame)).inputs for frame in shown])
    engine.whole(inputs, rig_of(shown))
    assert found == []
    with HostOperations() as watch:  # what it looks for is what torch calls it
        torch.ones(2).new_tensor([1.0])
        torch.tensor([1.0])
        torch.ones(2).sum().item()
    assert len(watch.found) == 3


def watched(function, found: list[str]):
    def run(*tensors):
        with HostOperations() as watch:
            results = function(*tensors)
        found.extend(watch.found)
        return results

    return run
