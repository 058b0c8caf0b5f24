# SPDX-License-Identifier: Apache-2.0
"""MaskCLIP+ against the recorded arrays, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from langocc.errors import DataError
from langocc.teachers.checkpoint import read_state
from langocc.teachers.folded import folded
from langocc.teachers.load import load_teacher
from langocc.teachers.maskclip_plus import (
    MaskClipPlusNetwork,
    network_from_state,
    resized,
)
from langocc.teachers.sampling import sample_upsampled, sample_upsampled_full
from largest_kit import Largest


def recorded_state(parity_dir: Path, make: Callable, name: str) -> dict[str, torch.Tensor]:
    keys = json.loads((parity_dir / "maskclip_keys.json").read_text())[name]
    names = {key for key, _, _ in keys}
    return {key: make(key, tuple(shape), names) for key, shape, _ in keys}


@pytest.mark.parity
@pytest.mark.parametrize(("name", "depth"), [("r50_as_configured", 50), ("r101", 101)])
@torch.no_grad()
def test_features_and_point_features_are_the_recorded_ones(
    name: str, depth: int, parity_dir: Path, recorded_weight: Callable
) -> None:
    state = recorded_state(parity_dir, recorded_weight, name)
    network, found = network_from_state(state, name)
    assert found == depth
    network.eval()
    recorded = np.load(parity_dir / "maskclip_plus.npz")
    image = recorded_weight("", (), set(), image=True)
    last = network.backbone(image)
    dense = network.decode_head.decode_module(last)
    close(last[:, ::64, ::2, ::2], recorded[f"{name}_c5_sub"])
    step = 512 // recorded[f"{name}_feat_sub"].shape[1]
    close(dense[:, ::step], recorded[f"{name}_feat_sub"])
    pixels = torch.from_numpy(recorded["pixels_row_col"].astype(np.float32))
    points = sample_upsampled(dense[0], pixels, (180, 320), (128, 224))
    expected = torch.from_numpy(recorded[f"{name}_point_features_f16"]).float()
    torch.testing.assert_close(points, expected, rtol=1e-3, atol=1e-4)  # stored in half precision
    full = functional.interpolate(dense, size=(128, 224), mode="bilinear")
    full = functional.interpolate(full, size=(180, 320), mode="bilinear")
    close(full[0, ::32, ::12, ::16], recorded[f"{name}_full_sub"])


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    scale = float(np.abs(expected).max())
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-5 * scale)


def test_sampling_touched_cells_equals_the_whole_map() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(24, 16, 28, generator=generator)
    pixels = torch.rand(300, 2, generator=generator) * torch.tensor([180.0, 320.0])
    pixels[:4] = torch.tensor([[0.0, 0.0], [179.99, 319.99], [0.2, 100.0], [90.5, 160.5]])
    whole = sample_upsampled_full(dense, pixels, (180, 320), (128, 224))
    touched = sample_upsampled(dense, pixels, (180, 320), (128, 224), chunk=77)
    torch.testing.assert_close(touched, whole, rtol=1e-5, atol=1e-5)
    assert touched.norm(dim=-1).max() <= 1 + 1e-5
    assert sample_upsampled(dense, pixels[:0], (180, 320), (128, 224)).shape == (0, 24)


def test_the_full_resolution_map_is_never_made() -> None:
    """A ray's feature of a nuScenes image takes its cells, not 512 channels of 1.4 M pixels."""
    dense = torch.rand(512, 128, 228)
    row_col = torch.rand(500, 2) * torch.tensor([900.0, 1600.0])
    with Largest() as watched:
        sample_upsampled(dense, row_col, (900, 1600), (1024, 1820))
    assert watched.numbers < 512 * 900 * 1600 / 30, f"{watched.numbers:,} numbers"
    with Largest() as watched:  # without this the line above could not fail
        sample_upsampled_full(dense[:8], row_col, (900, 1600), (1024, 1820))
    assert watched.numbers >= 8 * 900 * 1600


def test_image_of_nuscenes_is_resized_as_published() -> None:
    assert resized(900, 1600) == (1024, 1820)


def random_network(depth: int = 50) -> MaskClipPlusNetwork:
    """With norms that change what passes them."""
    torch.manual_seed(0)
    network = MaskClipPlusNetwork(depth).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    return network


@torch.no_grad()
def test_folded_network_gives_what_the_readable_one_gives() -> None:
    network, image = random_network(), torch.randn(2, 3, 65, 97)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = folded(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())
    expected = network(image)
    scale = float(expected.abs().max())
    torch.testing.assert_close(fast(image), expected, rtol=1e-4, atol=1e-5 * scale)
    half = folded(network, torch.bfloat16)(image.bfloat16()).float()
    assert functional.cosine_similarity(half, expected, dim=1).min() > 0.99
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with pytest.raises(ValueError, match="expected a convolution before this norm"):
        folded(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.BatchNorm2d(3)))


def test_half_precision_runs_folded_and_says_so(clip_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "plus.pth"
    torch.save({"state_dict": random_network().state_dict()}, path)
    whole = load_teacher(str(path), text=str(clip_folder))
    half = load_teacher(str(path), dtype=torch.bfloat16, text=str(clip_folder))
    assert half.id == f"{whole.id}-bf16"
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in half.network.modules())
    assert next(half.network.parameters()).dtype == torch.bfloat16


def test_another_number_of_blocks_is_refused() -> None:
    state = {k: v for k, v in MaskClipPlusNetwork(50).state_dict().items() if "layer3.5" not in k}
    with pytest.raises(DataError, match=r"\(3, 4, 5, 3\) blocks"):
        network_from_state(state, "weights.pth")


def test_left_over_and_missing_names_are_refused() -> None:
    state = dict(MaskClipPlusNetwork(50).state_dict())
    with pytest.raises(DataError, match=r"backbone\.extra has no place"):
        network_from_state({**state, "backbone.extra": torch.zeros(1)}, "weights.pth")
    del state["backbone.stem.0.weight"]
    with pytest.raises(DataError, match=r"backbone\.stem\.0\.weight is missing"):
        network_from_state(state, "weights.pth")
    state["backbone.stem.0.weight"] = torch.zeros(16, 3, 3, 3)
    with pytest.raises(DataError, match=r"expected shape \(32, 3, 3, 3\), found \(16, 3, 3, 3\)"):
        network_from_state(state, "weights.pth")
    many = {key: value for key, value in state.items() if "layer2" not in key or "bn" not in key}
    with pytest.raises(DataError) as raised:
        network_from_state(many, "weights.pth")
    assert len(str(raised.value).splitlines()) == 11


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match=r"weights\.pth: not a readable checkpoint"):
        read_state(path)
