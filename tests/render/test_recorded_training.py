"""One recorded training step of the whole network, one test per array.

The full network on cells of 0.8 m, its loss and its gradients, through the sparse renderer; the
readable one must give the same gradients of the field.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.model.langocc import LangOcc
from langocc.presets import MODELS
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig, objective

sys.path.append(str(Path(__file__).parents[1] / "model"))

pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.timeout(900)]
COARSE_GRID = VoxelGrid(cell_m=0.8)


@pytest.fixture(scope="module")
def recorded(parity_dir: Path) -> dict[str, np.ndarray]:
    with np.load(parity_dir / "train_tiny.npz") as file:
        return {name: file[name] for name in file.files}


def coarse_network(parity_dir: Path) -> LangOcc:
    from parity_kit import recorded_weights

    from langocc.interop.checkpoints_published import from_published

    full = MODELS["full"]
    config = replace(
        full,
        grid=COARSE_GRID,
        backbone=replace(full.backbone, recompute=True),
        depth=replace(full.depth, dropout=0.0),
    )
    model = LangOcc(config)
    weights = recorded_weights(parity_dir, "full")
    model.load_state_dict(from_published(weights, model.state_dict(), "language", "gen_inputs.py"))
    return model


def loss_of(field, parity_dir: Path, implementation: str = "sparse") -> Tensor:
    inputs = np.load(parity_dir / "inputs.npz")
    dataset = torch.from_numpy(inputs["lang_ray_dataset"])
    rays = RayBatch(dataset[..., 2:5], dataset[..., 5:8], dataset[..., 8:520])
    config = RenderConfig(implementation=implementation)
    seen = field.render(rays, config, uniforms=torch.from_numpy(inputs["jitter_u"]))
    return objective(seen, rays, field.density, LossConfig()).total


def published(named: dict[str, Tensor]) -> dict[str, Tensor]:
    from langocc.interop.checkpoints_published import to_published

    return to_published(named, "language")


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return published({n: p.grad for n, p in model.named_parameters() if p.grad is not None})


def norms(tensors: dict[str, Tensor], names: np.ndarray) -> np.ndarray:
    return np.array([float(tensors[str(name)].double().norm()) for name in names])


def heads(tensors: dict[str, Tensor], names: np.ndarray) -> np.ndarray:
    first = [tensors[str(name)].flatten()[:8].numpy() for name in names]
    return np.array([np.pad(head, (0, 8 - len(head))) for head in first])


@pytest.fixture(scope="module")
def evaluated(parity_dir: Path, recorded: dict[str, np.ndarray]) -> dict[str, object]:
    """Loss and gradients in evaluation mode, and the field's gradients by both renderers."""
    from parity_kit import recorded_inputs

    model = coarse_network(parity_dir).eval()
    field = model(*recorded_inputs(parity_dir))
    answers: dict[str, object] = {}
    for implementation in ("readable", "sparse"):
        leaves = [field.density.detach(), field.features.detach()]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        detached = replace(field, density=leaves[0], features=leaves[1])
        loss = loss_of(detached, parity_dir, implementation)
        answers[f"loss_{implementation}"] = loss.detach()
        wanted = [*leaves, *model.head.parameters()]
        answers[implementation] = torch.autograd.grad(loss, wanted)
    loss_of(field, parity_dir).backward()
    found = gradients(model)
    names = recorded["param_names"]
    return answers | {
        "eval_grad_norms": norms(found, names),
        "eval_grad_heads": heads(found, names),
    }


@pytest.mark.parametrize("implementation", ["readable", "sparse"])
def test_eval_loss(evaluated, recorded, implementation) -> None:
    loss = float(evaluated[f"loss_{implementation}"])
    np.testing.assert_allclose(loss, recorded["eval_loss"], rtol=1e-5)


def is_of_the_field(names: np.ndarray) -> np.ndarray:
    """Parameters of the final convolution and the heads: what lies between field and voxels."""
    return np.array(["_decoder." in str(n) or str(n).startswith("final_conv.") for n in names])


def test_eval_grad_norms(evaluated, recorded) -> None:
    """Heads: 1e-4 of each norm. Below them, 3e-3: few rays reach few voxels, so the one to four
    lifted points that fall into another cell in float64 than in the recording's float32 count:
    68 such points change the norms by 9e-3 (median), ours by 2e-4 (median), 1.7e-3 (largest).
    """
    want, got = recorded["eval_grad_norms"], evaluated["eval_grad_norms"]
    near = is_of_the_field(recorded["param_names"])
    np.testing.assert_allclose(got[near], want[near], rtol=1e-4)
    np.testing.assert_allclose(got, want, rtol=3e-3)


def test_eval_grad_heads(evaluated, recorded) -> None:
    """Of the largest value; heads 5e-5, as two runs of the reference; below, see above."""
    want, got = recorded["eval_grad_heads"], evaluated["eval_grad_heads"]
    near, scale = is_of_the_field(recorded["param_names"]), np.abs(want).max()
    np.testing.assert_allclose(got[near], want[near], rtol=0, atol=5e-5 * scale)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * scale)


def test_eval_field_gradients_of_both_renderers(evaluated) -> None:
    """Sums of the same float32 terms in another order."""
    for readable, sparse in zip(evaluated["readable"], evaluated["sparse"], strict=True):
        scale = float(readable.abs().max())
        torch.testing.assert_close(sparse, readable, rtol=1e-3, atol=1e-4 * scale)


@pytest.fixture(scope="module")
def trained(parity_dir: Path, recorded: dict[str, np.ndarray]) -> dict[str, object]:
    """One step in training mode: clipped at 5, AdamW(1e-4, weight decay 1e-2)."""
    from parity_kit import recorded_inputs

    model = coarse_network(parity_dir).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-2)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    loss = loss_of(model(*recorded_inputs(parity_dir)), parity_dir)
    loss.backward()
    found = gradients(model)
    names = recorded["param_names"]
    answers: dict[str, object] = {
        "loss": np.array([loss.item()]),
        "grad_norms": norms(found, names),
        "grad_heads": heads(found, names),
    }
    answers["grad_norm_total"] = np.array([float(nn.utils.clip_grad_norm_(model.parameters(), 5))])
    optimizer.step()
    change = {n: p.detach() - before[n] for n, p in model.named_parameters()}
    answers["adamw_delta_norms"] = norms(published(change), names)
    state = published(model.state_dict())
    for name in recorded:
        if name.startswith("after_"):
            answers[name] = state[name.removeprefix("after_")].reshape(-1).numpy()
    counts = [int(state[str(name)]) for name in recorded["nbt_names"]]
    return answers | {"nbt_values": np.array(counts)}


TRAINED = {
    # Relative to the largest value. Two runs of the reference differ by 5e-4 in the total norm,
    # 2e-3 in norms, 4e-2 in single gradients (batch statistics over six views), 1.3e-3 in changes.
    # Ours lie 2.1e-3 to 3.7e-3 from the recorded total norm and 3.5e-3 to 6.8e-3 from the norms,
    # depending on one part in 1e7 of the input images and on how the cost volume sums; the
    # evaluation mode above is the sharp test.
    "loss": 1e-5,
    "grad_norm_total": 5e-3,
    "grad_norms": 1e-2,
    "grad_heads": 6e-2,
    "adamw_delta_norms": 3e-3,
}


@pytest.mark.parametrize("name", TRAINED)
def test_train_step(trained, recorded, name) -> None:
    want = recorded[name]
    atol = TRAINED[name] * np.abs(want).max()
    np.testing.assert_allclose(trained[name], want, rtol=0, atol=atol)


def test_batch_norm_buffers_after_the_step(trained, recorded) -> None:
    for name in recorded:
        if name.startswith("after_"):
            want = recorded[name]
            atol = 1e-5 * max(float(np.abs(want).max()), 1.0)
            np.testing.assert_allclose(trained[name], want, rtol=1e-4, atol=atol, err_msg=name)


def test_batch_norms_ran_as_often(trained, recorded) -> None:
    np.testing.assert_array_equal(trained["nbt_values"], recorded["nbt_values"])
