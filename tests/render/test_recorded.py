"""Equality with arrays recorded from the published implementation, one test per array."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langocc.render import compositing, losses, sampling
from langocc.render.config import RenderConfig
from langocc.render.lookup import Box, corners, lookup, voxel_coordinates
from langocc.render.readable import composite_features, place_samples, render_geometry
from langocc.render.visits import composite_rows, merge_visits

pytestmark = pytest.mark.parity
BOX = Box((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4))


@pytest.fixture(scope="module")
def ops(parity_dir: Path):
    with np.load(parity_dir / "ops.npz") as file:
        names = [n for n in file.files if n.startswith(("uni_", "pdf_", "is_", "vr_", "ip_"))]
        names += [n for n in file.files if n.startswith(("rr_", "loss_"))]
        return {name: torch.from_numpy(file[name]) for name in names}


def near(actual, recorded, scale: float | None = None):
    """Float32 forward arithmetic in another order: relative 1e-4, absolute 1e-5 of the scale."""
    scale = float(recorded.abs().max()) if scale is None else scale
    torch.testing.assert_close(actual, recorded, rtol=1e-4, atol=1e-5 * scale)


# Uniform proposals.


@pytest.fixture(scope="module")
def uniform_edges(ops):
    return sampling.proposal_edges(ops["uni_u"], RenderConfig())


def test_uni_start(ops, uniform_edges):
    near(uniform_edges[..., :-1], ops["uni_start"])


def test_uni_end(ops, uniform_edges):
    near(uniform_edges[..., 1:], ops["uni_end"])


def test_uni_center(ops, uniform_edges):
    near((uniform_edges[..., 1:] + uniform_edges[..., :-1]) / 2, ops["uni_center"])


# The published PDF sampler, which no configuration uses: its histogram padding and its jitter are
# written out here, the inverse of the distribution is ours.


@pytest.fixture(scope="module")
def pdf_edges(ops):
    padded = ops["pdf_weights"] + 0.01
    cdf = torch.nn.functional.pad((padded / padded.sum(-1, keepdim=True)).cumsum(-1), (1, 0))
    count = ops["pdf_start"].shape[-1] + 1
    quantiles = torch.linspace(0, 1 - 1 / count, count) + ops["pdf_rand"] / count
    return sampling.inverse_cdf(ops["pdf_bins"], cdf.clamp(max=1), quantiles)


def test_pdf_start(ops, pdf_edges):
    near(pdf_edges[..., :-1], ops["pdf_start"])


def test_pdf_end(ops, pdf_edges):
    near(pdf_edges[..., 1:], ops["pdf_end"])


def test_pdf_center(ops, pdf_edges):
    near((pdf_edges[..., 1:] + pdf_edges[..., :-1]) / 2, ops["pdf_center"])


# Importance sampling.


@pytest.fixture(scope="module")
def through(ops):
    return compositing.transmittance(ops["is_sigma"], ops["is_edges"].diff(dim=-1))


@pytest.fixture(scope="module")
def centres(ops, through):
    return sampling.importance_centres(ops["is_edges"], through, 100)


def test_is_trans(ops, through):
    near(through, ops["is_trans"])


def test_is_weights(ops):
    weights = compositing.ray_weights(ops["is_sigma"], ops["is_edges"].diff(dim=-1))
    near(weights, ops["is_weights"])


def test_is_alphas(ops, through):
    weights = compositing.ray_weights(ops["is_sigma"], ops["is_edges"].diff(dim=-1))
    seen = through > 1e-3  # alpha = w / T is not defined where no light arrives
    near((weights / through)[seen], ops["is_alphas"][seen])


def test_is_cdf(ops, through):
    cdf = 1 - torch.nn.functional.pad(through, (0, 1))
    near(cdf, ops["is_cdf"])


def test_is_out_centers(ops, centres):
    # A position is a quotient of small differences of the CDF: 1e-4 m.
    torch.testing.assert_close(centres, ops["is_out_centers"], rtol=0, atol=1e-4)


def test_is_out_edges(ops, centres):
    for ray in np.ndindex(*centres.shape[:2]):
        edges = ops["is_edges"][ray]
        got = sampling.edges_around(centres[ray], float(edges[0]), float(edges[-1]))
        torch.testing.assert_close(got, ops["is_out_edges"][ray], rtol=0, atol=1e-4)


# Weights and compositing.


@pytest.fixture(scope="module")
def composited(ops):
    sigma = ops["vr_sigma"].clone().requires_grad_()
    values = ops["vr_values"].clone().requires_grad_()
    lengths = ops["vr_edges"].diff(dim=-1)
    weights = compositing.ray_weights(sigma, lengths)
    out = compositing.composite(weights, values)
    out.backward(ops["vr_grad_out"])
    through = compositing.transmittance(sigma, lengths)
    return {
        "vr_weights": weights.detach(),
        "vr_trans": through.detach(),
        "vr_out": out.detach(),
        "vr_grad_sigma": sigma.grad,
        "vr_grad_values": values.grad,
    }


@pytest.mark.parametrize(
    "name", ["vr_weights", "vr_trans", "vr_out", "vr_grad_sigma", "vr_grad_values"]
)
def test_vr(ops, composited, name):
    near(composited[name], ops[name])


# Trilinear lookup: whole, and as corners with weights.


def as_xyz(volume):
    return volume.permute(0, 3, 2, 1, 4)


def look_up_corners(volume, points):
    """The lookup that the sparse path is made of."""
    cells = tuple(volume.shape[1:4])
    index, weight = corners(voxel_coordinates(points, BOX, cells).flatten(0, -2), cells)
    weight = weight * (index >= 0)
    rows = volume[0].flatten(0, 2)
    begin = torch.arange(0, index.numel(), 8)
    shape = (*points.shape[:-1], -1)
    return composite_rows(rows, weight.flatten(), index.clamp(min=0).flatten(), begin).view(shape)


@pytest.mark.parametrize("how", [lambda v, p: lookup(v, p, BOX), look_up_corners])
@pytest.mark.parametrize("name", ["ip_out", "ip_grad_volume"])
def test_ip(ops, how, name):
    volume = ops["ip_volume"].clone().requires_grad_()
    out = how(as_xyz(volume), ops["ip_points"])
    if name == "ip_out":
        near(out.detach(), ops[name])
    else:
        out.backward(ops["ip_grad_out"])
        assert volume.grad is not None
        near(volume.grad, ops[name])


# The whole renderer.


@pytest.fixture(scope="module", params=["readable", "sparse"])
def rendered(ops, request):
    density = ops["rr_density_xyz"][..., 0].clone().requires_grad_()
    language = ops["rr_language_xyz"].clone().requires_grad_()
    rays = ops["rr_rays"]
    origins, directions, target = rays[..., 2:5], rays[..., 5:8], rays[..., 8:16]
    config = RenderConfig()
    samples = place_samples(density.detach(), origins, directions, BOX, config, ops["rr_jitter_u"])
    seen = render_geometry(density, samples, BOX, config)
    if request.param == "readable":
        out = composite_features(language, seen.weights, samples, BOX)
    else:
        visits = merge_visits(seen.weights, samples.points_m, BOX, (10, 10, 4))
        rows = language.flatten(0, 3)
        out = composite_rows(rows, visits.share, visits.voxel, visits.begin)[None]
        out = normalize(out, dim=-1)
    loss = losses.weighted_cosine_mse(out, target, (seen.opacity > 0).float())
    loss.backward()
    return {
        "rr_out": out.detach(),
        "rr_loss": loss.detach()[None],
        "rr_zero_rays": (seen.opacity == 0).nonzero(),
        "rr_grad_density": density.grad[..., None],
        "rr_grad_language": language.grad,
    }


@pytest.mark.parametrize(
    "name", ["rr_out", "rr_loss", "rr_zero_rays", "rr_grad_density", "rr_grad_language"]
)
def test_rr(ops, rendered, name):
    near(rendered[name], ops[name])


# Losses.


def recorded_loss(ops, function):
    prediction = ops["loss_pred"].clone().requires_grad_()
    loss = function(
        normalize(prediction, dim=-1), ops["loss_target"], ops["loss_ray_weights"][..., 0]
    )
    loss.backward()
    return loss.detach()[None], prediction.grad


@pytest.mark.parametrize("stop", [1, 0])
@pytest.mark.parametrize("reduce_by", ["sum", "mean"])
def test_loss_weighted(ops, reduce_by, stop):
    """The mean over channels is the sum over a constant; the recorded loss has weight 1.5."""
    factor = 1.5 if reduce_by == "sum" else 1.5 / ops["loss_pred"].shape[-1]

    def scaled(*arguments):
        return factor * losses.weighted_cosine_mse(*arguments, stop_gradient=bool(stop))

    loss, gradient = recorded_loss(ops, scaled)
    near(loss, ops[f"loss_{reduce_by}_stop{stop}"])
    near(gradient, ops[f"loss_{reduce_by}_stop{stop}_grad_pred"])


def test_loss_cossim(ops):
    loss, _ = recorded_loss(ops, losses.cosine)
    near(loss, ops["loss_cossim"])


def test_loss_cossim_grad_pred(ops):
    _, gradient = recorded_loss(ops, losses.cosine)
    near(gradient, ops["loss_cossim_grad_pred"])
