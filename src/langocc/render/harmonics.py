# SPDX-License-Identifier: Apache-2.0
"""Colour that depends on the direction of view, by real spherical harmonics of bands 0 to 2."""

import torch
from jaxtyping import Float
from torch import Tensor

COEFFICIENTS = 9


def spherical_harmonics(directions: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 9"]:
    """The nine real harmonics of bands 0, 1, 2 of unit directions, orthonormal on the sphere.

    Order within a band: m = -l .. l, so band 1 is (y, z, x); no Condon-Shortley sign.
    """
    x, y, z = directions.unbind(-1)
    basis = [
        torch.full_like(x, 0.28209479177387814),
        0.4886025119029199 * y,
        0.4886025119029199 * z,
        0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        1.0925484305920792 * y * z,
        0.9461746957575601 * z * z - 0.31539156525252005,
        1.0925484305920792 * x * z,
        0.5462742152960396 * (x * x - y * y),
    ]
    return torch.stack(basis, dim=-1)


def harmonic_colour(
    coefficients: Float[Tensor, "*shape 27"], directions: Float[Tensor, "*shape 3"]
) -> Float[Tensor, "*shape 3"]:
    """Colour seen along a direction, clipped to [0, 1].

    Args:
        coefficients: After the sigmoid; colour-major, nine of red first.
        directions: Unit vectors, one per row of coefficients.

    Source: method.md section 2, step 8.
    """
    per_colour = coefficients.unflatten(-1, (3, COEFFICIENTS))
    return (per_colour * spherical_harmonics(directions)[..., None, :]).sum(-1).clamp(0.0, 1.0)
