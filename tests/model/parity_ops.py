"""Single operations on the recorded inputs of `ops.npz`, by `ops:array`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from langocc.model.decoder import PointDecoder
from langocc.model.langocc import COST_VOLUMES, SPLATS
from langocc.model.lift import OUTSIDE

INPUTS = {
    *("pool_depth", "pool_feat", "pool_ranks_depth", "pool_ranks_feat", "pool_ranks_bev"),
    *("pool_starts", "pool_lengths", "pool_grad_out", "dec_x", "cv_prev", "cv_curr", "cv_grid"),
}
"""Recorded arrays that are given, not compared."""


def run_ops(parity_dir: Path, implementation: str = "readable") -> dict[str, np.ndarray]:
    """Pooling, heads and cost volume; `readable`, `fused`, or `triton` wherever that runs."""
    recorded = np.load(parity_dir / "ops.npz")
    pool, cost_volume = _implementation(implementation)
    device = "cuda" if implementation == "triton" and torch.cuda.is_available() else "cpu"

    def given(name: str) -> Tensor:
        return torch.from_numpy(recorded[name])

    def there(name: str) -> Tensor:
        return given(name).to(device)

    arrays = _pooling(there, pool) | _heads(given, recorded.files)
    arrays |= _cost_volumes(there, cost_volume)
    return {f"ops:{name}": tensor.detach().cpu().numpy() for name, tensor in arrays.items()}


def _implementation(name: str) -> tuple[Callable, Callable]:
    """Sum into voxels and cost volume."""
    if name == "triton":
        from langocc.model.triton_ops import triton_cost_volume, triton_splat  # optional

        return triton_splat, triton_cost_volume
    return SPLATS[name], COST_VOLUMES[name]


def _pooling(given: Callable[[str], Tensor], pool: Callable) -> dict[str, Tensor]:
    depth = given("pool_depth").requires_grad_()
    features = given("pool_feat").requires_grad_()
    z_cells, y_cells, x_cells = 2, 4, 6
    rank_zyx = given("pool_ranks_bev").long()
    x, y, z = rank_zyx % x_cells, rank_zyx // x_cells % y_cells, rank_zyx // x_cells // y_cells
    cells = torch.full((depth.numel(),), OUTSIDE, device=depth.device)
    cells[given("pool_ranks_depth").long()] = (x * y_cells + y) * z_cells + z
    shape = (x_cells, y_cells, z_cells)
    context = features.permute(0, 1, 4, 2, 3)
    pooled = pool(depth, context, cells.view(depth.shape), shape).transpose(2, 4)
    pooled.backward(given("pool_grad_out"))
    assert depth.grad is not None
    assert features.grad is not None
    return {"pool_out": pooled, "pool_grad_depth": depth.grad, "pool_grad_feat": features.grad}


def _heads(given: Callable[[str], Tensor], names: list[str]) -> dict[str, Tensor]:
    head = PointDecoder(12, 16, 5)
    layers = (*head.layers, head.last)
    for name in (n for n in names if n.startswith("dec_w")):
        _, _, place, kind = name.split(".")
        getattr(layers[int(place) // 3], kind).data.copy_(given(name))
    found = {}
    for activation, function in (("none", torch.nn.Identity()), ("sigmoid", torch.sigmoid)):
        x = given("dec_x").requires_grad_()
        answer = function(head(x))
        found[f"dec_{activation}_out"] = answer
        found[f"dec_{activation}_grad_x"] = torch.autograd.grad(answer.sum(), x)[0]
    return found


def _cost_volumes(given: Callable[[str], Tensor], cost_volume: Callable) -> dict[str, Tensor]:
    current, reference = given("cv_curr"), given("cv_prev")
    grid = given("cv_grid").unflatten(1, (-1, current.shape[2]))
    return {
        f"cv_out_bias{bias}": cost_volume(
            current, reference, grid, invalid_cost=float(bias), zero_is_invalid=True
        )
        for bias in (0, 5)
    }
