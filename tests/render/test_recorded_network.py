"""Equality with recorded renderings of the whole network, one test per array.

The network runs once, on the recorded images with the recorded weights; its volumes are then
rendered by every implementation that runs on a CPU. Positions come from quotients of small
differences of densities, so they are compared in metres; see `TOLERANCES`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from langocc.field import VoxelField
from langocc.geometry.rays import RayBatch
from langocc.render.compositing import transmittance
from langocc.render.config import RenderConfig
from langocc.render.lookup import lookup
from langocc.render.objective import LossConfig, objective
from langocc.render.readable import along
from langocc.render.sampling import draw_uniforms, proposal_edges

sys.path.append(str(Path(__file__).parents[1] / "model"))

pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.timeout(900)]
IMPLEMENTATIONS = ["readable", "sparse"]
COARSE = ["coarse_start", "coarse_end", "coarse_density", "coarse_trans"]
FINE = ["fine_center", "fine_density", "fine_weights", "zero_weight_rays", "loss"]
NOJIT = [*COARSE, "coarse_center", "fine_start", "fine_end", *FINE, "language"]
JIT = [*COARSE, *FINE, "language_sub"]
TOLERANCES = {
    # Two runs of the reference differ by 6e-5 m in positions, 2e-5 in density, 5e-5 in weights.
    "coarse_density": 2e-5,
    "coarse_trans": 2e-5,
    "fine_start": 2e-4,
    "fine_end": 2e-4,
    "fine_center": 2e-4,
    "fine_density": 1e-4,
    "fine_weights": 2e-4,
    "language": 1e-5,
    "language_sub": 1e-5,
}
"""Absolute; everything else: 1e-5, and relative 1e-5 of metres or of the loss."""


@dataclass(frozen=True)
class Recorded:
    """The network's volumes, and the recorded rays."""

    full: VoxelField
    reduced: VoxelField
    rays: RayBatch
    reduced_rays: RayBatch
    jitter: Tensor


@pytest.fixture(scope="module")
def recorded(parity_dir: Path) -> Recorded:
    from parity_kit import recorded_inputs, recorded_network

    with torch.no_grad():
        field = recorded_network(parity_dir, "full")(*recorded_inputs(parity_dir))
        model = recorded_network(parity_dir, "reduced")
        reduced = VoxelField(field.grid, field.density, field.features, model.head)
        inputs = np.load(parity_dir / "inputs.npz")
        dataset = torch.from_numpy(inputs["lang_ray_dataset"])
        rays = RayBatch(dataset[..., 2:5], dataset[..., 5:8], dataset[..., 8:520])
        targets = model.reducer.reduce(rays.features).half().float()
        return Recorded(
            field,
            reduced,
            rays,
            RayBatch(rays.origins, rays.directions, targets),
            torch.from_numpy(inputs["jitter_u"]),
        )


def answers(field: VoxelField, rays: RayBatch, jitter: Tensor | None, implementation: str):
    """Our counterpart of each recorded array."""
    config = RenderConfig(implementation=implementation, jitter=False, chunk_rays=128)
    batch, count, _ = rays.origins.shape
    if jitter is None:
        jitter = draw_uniforms(batch, count, config, rays.origins.device)
    edges = proposal_edges(jitter, config)
    box = field.volume.box
    middle = (edges[..., 1:] + edges[..., :-1]) / 2
    probes = along(rays.origins, rays.directions, middle)
    probed = lookup(field.density[..., None], probes, box)[..., 0]
    with torch.no_grad():
        seen = field.render(rays, config, uniforms=jitter)
    points = along(rays.origins, rays.directions, seen.centres_m)
    loss = objective(seen, rays, field.density, LossConfig()).total
    return {
        "coarse_start": edges[..., :-1],
        "coarse_end": edges[..., 1:],
        "coarse_center": middle,
        "coarse_density": probed,
        "coarse_trans": transmittance(probed, edges.diff(dim=-1)),
        "fine_start": seen.edges_m[..., :-1],
        "fine_end": seen.edges_m[..., 1:],
        "fine_center": seen.centres_m,
        "fine_density": lookup(field.density[..., None], points, box)[..., 0],
        "fine_weights": seen.weights,
        "zero_weight_rays": (seen.opacity == 0).nonzero(),
        "language": seen.features,
        "language_sub": seen.features[..., ::8],
        "loss": loss[None],
    }


def compare(name: str, actual: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(
        actual, torch.from_numpy(expected), rtol=1e-5, atol=TOLERANCES.get(name, 1e-5)
    )


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def plain(recorded: Recorded, request: pytest.FixtureRequest) -> dict[str, Tensor]:
    return answers(recorded.full, recorded.rays, None, request.param)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def jittered(recorded: Recorded, request: pytest.FixtureRequest) -> dict[str, Tensor]:
    return answers(recorded.full, recorded.rays, recorded.jitter, request.param)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def reduced(recorded: Recorded, request: pytest.FixtureRequest) -> dict[str, Tensor]:
    return answers(recorded.reduced, recorded.reduced_rays, None, request.param)


@pytest.mark.parametrize("name", NOJIT)
def test_render_nojit(parity_dir: Path, plain: dict[str, Tensor], name: str) -> None:
    compare(name, plain[name], np.load(parity_dir / "render_nojit.npz")[name])


@pytest.mark.parametrize("name", JIT)
def test_render_jit(parity_dir: Path, jittered: dict[str, Tensor], name: str) -> None:
    compare(name, jittered[name], np.load(parity_dir / "render_jit.npz")[name])


def test_reduced_language(parity_dir: Path, reduced: dict[str, Tensor]) -> None:
    compare(
        "language", reduced["language"][:, ::2], np.load(parity_dir / "reduced.npz")["language"]
    )


def test_reduced_loss(parity_dir: Path, reduced: dict[str, Tensor]) -> None:
    compare("loss", reduced["loss"], np.load(parity_dir / "reduced.npz")["loss"])
