"""Spherical harmonics: orthonormal on the sphere, and colours by hand."""

import math

import torch
from torch.nn.functional import normalize

from langocc.render.harmonics import harmonic_colour, spherical_harmonics


def test_orthonormal_on_the_sphere():
    """Over Gauss-Legendre heights and even angles the integral of degree 4 is exact."""
    import numpy as np

    heights, weights = np.polynomial.legendre.leggauss(8)
    z = torch.from_numpy(heights)[:, None].expand(8, 16)
    angle = torch.arange(16, dtype=torch.float64).expand(8, 16) * (2 * math.pi / 16)
    radius = (1 - z.square()).sqrt()
    directions = torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=-1)
    area = torch.from_numpy(weights)[:, None] * (2 * math.pi / 16)
    basis = spherical_harmonics(directions)
    gram = torch.einsum("ha,hai,haj->ij", area.expand(8, 16), basis, basis)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_constant_coefficient_looks_alike_from_everywhere():
    directions = normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    coefficients = torch.zeros(20, 27)
    coefficients[:, 9] = 0.5  # green's constant
    colour = harmonic_colour(coefficients, directions)
    expected = torch.tensor([0.0, 0.5 * 0.28209479, 0.0]).expand(20, 3)
    torch.testing.assert_close(colour, expected)


def test_colours_are_clipped():
    coefficients = torch.ones(2, 27) * 5
    directions = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    colour = harmonic_colour(coefficients, directions)
    torch.testing.assert_close(colour[0], torch.ones(3))
    assert (colour >= 0).all()
