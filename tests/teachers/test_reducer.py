# SPDX-License-Identifier: Apache-2.0
"""The reducer against the recorded arrays, and its own promises."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from langocc.errors import DataError
from langocc.teachers.reducer import (
    Reducer,
    angle_loss,
    load_reducer,
    principal_reducer,
    save_reducer,
    separation_loss,
    train_reducer,
)
from langocc.teachers.reducer_loss import reducer_loss, rivals_changed


@pytest.fixture(scope="module")
def recorded(parity_dir: Path) -> dict[str, np.ndarray]:
    return dict(np.load(parity_dir / "reducer.npz"))


@pytest.fixture
def reducer(recorded_weight: Callable) -> Reducer:
    made = Reducer()
    with torch.no_grad():
        made.U.copy_(recorded_weight("U", (512, 128), {"U"}))
    return made


def close(found: torch.Tensor, expected: np.ndarray | np.floating) -> None:
    torch.testing.assert_close(
        found.detach(), torch.as_tensor(expected).to(found.dtype), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parity
def test_values_and_gradient_are_the_recorded_ones(reducer: Reducer, recorded: dict) -> None:
    x = torch.from_numpy(recorded["x"])
    close(reducer.U[::8, ::8], recorded["U_sub"])
    close(reducer.reduce(x), recorded["bottleneck"])
    close(reducer.reconstruct(reducer.reduce(x)), recorded["recon"])
    loss = angle_loss(reducer, x)
    close(loss, recorded["loss"][0])
    loss.backward()
    assert reducer.U.grad is not None
    close(reducer.U.grad, recorded["grad_U"])


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["cosine", "mse", "margin"])
def test_separation_is_the_recorded_one(
    kind: Literal["cosine", "mse", "margin"], recorded: dict
) -> None:
    reduced = torch.from_numpy(recorded["bottleneck"])
    loss = separation_loss(reduced, torch.from_numpy(recorded["class_map"]), kind)
    close(loss, recorded[{"cosine": "sep_cos"}.get(kind, f"sep_{kind}")][0])


@pytest.mark.parity
def test_training_takes_the_recorded_steps(reducer: Reducer, recorded: dict) -> None:
    generator = np.random.Generator(np.random.PCG64(21))
    vectors = torch.from_numpy(generator.standard_normal((40, 512)).astype(np.float32))
    training = train_reducer(reducer, functional.normalize(vectors, dim=-1), steps=30)
    np.testing.assert_allclose(training.losses, recorded["train_losses"], rtol=1e-5)
    close(reducer.U[::8, ::8], recorded["train_U_after_sub"])


def prompts(count: int = 20, channels: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return functional.normalize(torch.randn(count, channels, generator=generator), dim=-1)


def test_a_perfect_map_gives_no_nan_and_stops() -> None:
    reducer = Reducer(8, 8)
    with torch.no_grad():
        reducer.U.copy_(torch.eye(8))
    training = train_reducer(reducer, prompts(5, 8))
    assert training.stopped in ("no change", "small loss")
    assert torch.isfinite(reducer.U).all()
    assert all(math.isfinite(loss) for loss in training.losses)
    opposite = torch.cat([torch.eye(8), -torch.eye(8)])
    angle_loss(reducer, opposite).backward()
    assert reducer.U.grad is not None
    assert torch.isfinite(reducer.U.grad).all()


@pytest.mark.parametrize("channels", [16, 64, 128, 512])
@pytest.mark.parametrize("separation", ["none", "cosine", "mse", "margin"])
def test_any_size_from_16_to_512_stays_finite_and_comes_out_the_same(
    channels: int, separation: Literal["none", "cosine", "mse", "margin"]
) -> None:
    """Also with twice the same prompt, whose angle has no slope."""
    vectors = prompts(20, 512)
    vectors[1] = vectors[0]
    made = []
    for _ in range(2):
        reducer = Reducer(512, channels, torch.Generator().manual_seed(0))
        ids = torch.arange(20) % 5
        train_reducer(reducer, vectors, ids, steps=40, separation=separation)
        assert reducer.U.isfinite().all()
        assert reducer.reduce(vectors).shape == (20, channels)
        made.append(reducer.U.detach())
    assert torch.equal(*made)


def test_rivals_are_of_other_classes() -> None:
    """Words at 0, 1, 3 and (1.5, far up), of classes 0, 0, 1 and 2; reduced, up is not seen."""
    places = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.3, 0.0], [0.15, 0.9]])
    words = functional.normalize(torch.cat([torch.ones(4, 1), places], 1), dim=-1)
    reducer = Reducer(3, 2)
    with torch.no_grad():
        reducer.U.copy_(torch.eye(3)[:, :2])
    # Rivals are of the classes 1, 1, 0, 0, then 2, 2, 2, 0.
    assert rivals_changed(reducer, words, torch.tensor([0, 0, 1, 2])) == 0.75
    assert rivals_changed(reducer, words, torch.zeros(4, dtype=torch.long)) == 0


def test_training_stops_at_the_31st_change_in_a_row_that_is_next_to_nothing() -> None:
    training = train_reducer(Reducer(16, 8), prompts(10, 16), rate=1e-9)
    assert training.stopped == "no change"
    assert len(training.losses) == 32  # the first has nothing to compare with


def test_a_vector_that_is_not_finite_ends_training_and_keeps_the_map() -> None:
    reducer, vectors = Reducer(16, 8), prompts(10, 16)
    before = reducer.U.detach().clone()
    vectors[0] = math.nan
    assert train_reducer(reducer, vectors).stopped == "not finite"
    torch.testing.assert_close(reducer.U.detach(), before)


def test_training_brings_angles_down_and_principal_axes_rebuild_exactly() -> None:
    vectors, reducer = prompts(), Reducer(32, 16, torch.Generator().manual_seed(1))
    before = float(angle_loss(reducer, vectors).detach())
    training = train_reducer(reducer, vectors, rate=1e-2)
    assert math.radians(training.mean_angle_deg) < 0.6 * before
    exact = principal_reducer(vectors, 20)
    assert float(angle_loss(exact, vectors).detach()) < 2e-3
    assert principal_reducer(vectors, 24).U.shape == (32, 24)


def test_separation_needs_classes() -> None:
    with pytest.raises(ValueError, match="class_ids"):
        train_reducer(Reducer(8, 4), prompts(4, 8), separation="cosine")


def test_saved_reducer_comes_back_and_other_files_are_refused(tmp_path: Path) -> None:
    reducer, path = Reducer(16, 4), tmp_path / "reducer.safetensors"
    save_reducer(reducer, path, teacher="city-clip-0", vocabulary="v1")
    again, facts = load_reducer(path)
    torch.testing.assert_close(again.U, reducer.U)
    assert facts == {"teacher": "city-clip-0", "vocabulary": "v1"}
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"reducer\.safetensors: not a readable reducer"):
        load_reducer(path)
    with pytest.raises(DataError, match=r"none\.safetensors"):
        load_reducer(tmp_path / "none.safetensors")


def test_principal_axes_of_features_keep_what_features_show() -> None:
    """Features in a plane lose nothing; a word that lies across it is lost."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(32, 2, generator=generator))[0]
    features = functional.normalize(torch.randn(500, 2, generator=generator) @ plane.T, dim=-1)
    reducer = principal_reducer(features, 2)
    angles = torch.linspace(0, 2 * math.pi, 7)[:6]
    inside = torch.stack([angles.cos(), angles.sin()], 1) @ plane.T
    kept = reducer_loss(reducer, inside, torch.arange(6), features)
    assert kept.cosine == pytest.approx(1, abs=1e-5)
    assert (kept.changed, kept.answer_kept) == (0, 1)
    across = torch.linalg.svd(plane.T, full_matrices=True)[2][2:8]
    assert reducer_loss(reducer, across, torch.arange(6), features).cosine < 0.1


def test_loss_counts_other_classes_and_not_other_words_of_a_class() -> None:
    reducer = Reducer(3, 2)
    with torch.no_grad():
        reducer.U.copy_(torch.eye(3)[:, :2])  # blind to the third axis
    words = functional.normalize(torch.tensor([[1.0, 0, 0], [0.7, 0, 1.0], [0, 1.0, 0]]), dim=-1)
    features = functional.normalize(torch.tensor([[0.5, 0.3, 1.0], [0.1, 1.0, 0.2]]), dim=-1)
    # the first feature's nearest word is the second; reduced, first and second are one
    assert reducer_loss(reducer, words, torch.tensor([0, 0, 1]), features).changed == 0
    assert reducer_loss(reducer, words, torch.tensor([0, 1, 2]), features).changed == 0.5
