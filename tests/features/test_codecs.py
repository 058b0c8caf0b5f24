"""Codecs: error bounds, exactness where promised, and decoding from stored arrays."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from langocc.errors import ConfigError, DataError
from langocc.features.codecs import Fp16, Int8, NoFeatures, codec_of
from langocc.features.pca import fit_pca


@pytest.fixture(scope="module")
def features():
    """Unit features on a 12-dimensional surface of 64 channels, with a little noise."""
    generator = torch.Generator().manual_seed(0)
    code = torch.randn(2000, 12, generator=generator)
    mixed = code @ torch.randn(12, 64, generator=generator) + 1.0
    mixed += 0.05 * torch.randn(2000, 64, generator=generator)
    return functional.normalize(mixed, dim=-1)


def through_a_file(codec, features):
    """Decoded by what a reader has: name, channels, arrays, bytes."""
    codes = codec.encode(features)
    assert codes.dtype == torch.uint8
    assert codes.shape == (len(features), codec.row_bytes)
    arrays = {key: np.array(value) for key, value in codec.arrays.items()}
    return codec_of(codec.name, codec.channels, arrays).decode(codes)


def test_fp16_is_exact_for_halves(features):
    torch.testing.assert_close(
        through_a_file(Fp16(64), features), features.half().float(), rtol=0, atol=0
    )


def test_int8_is_within_half_a_step_of_each_row(features):
    decoded = through_a_file(Int8(64), features)
    step = features.abs().amax(dim=1, keepdim=True) / 127
    # half a step, and the step's own rounding to float16 (2^-11 of up to 127 steps)
    assert ((decoded - features).abs() <= step * (0.5 + 127 / 2**11)).all()
    assert functional.cosine_similarity(decoded, features).min() > 0.9999


def test_zeros_stay_zeros():
    for codec in (Fp16(8), Int8(8)):
        assert (through_a_file(codec, torch.zeros(3, 8)) == 0).all()


def test_pca_keeps_what_its_components_span(features):
    codec = fit_pca(features[:1000], 16)
    decoded = through_a_file(codec, features)
    cosine = functional.cosine_similarity(decoded, features)
    assert cosine.median() > 0.99
    basis = codec.basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(16), atol=2e-3, rtol=0)
    # more components, less error: down to the 8-bit floor
    errors = [
        float((through_a_file(fit_pca(features, k), features) - features).square().mean())
        for k in (2, 6, 12, 32)
    ]
    assert errors == sorted(errors, reverse=True)


def test_half_bytes_are_within_half_a_step(features):
    """Every component's level, decoded; those beyond the span are clamped to its end."""
    codec = fit_pca(features[:1000], 20, "pca-int4")
    assert codec.row_bytes == 8 + 6
    decoded = through_a_file(codec, features)
    error = (decoded - features) @ codec.basis.T
    wanted = (features - codec.mean) @ codec.basis.T
    inside = wanted.abs() <= codec.steps * torch.tensor([127.0] * 8 + [7.0] * 12)
    assert inside.float().mean() > 0.99
    # a float16 basis is orthonormal to 2^-11, so a unit feature leaks that much at most
    assert ((error.abs() <= 0.5 * codec.steps + 2**-11) | ~inside).all()
    assert functional.cosine_similarity(decoded, features).median() > 0.99


def test_half_bytes_beat_whole_ones_of_the_same_size():
    """For features of a slowly falling spectrum, as teachers' are."""
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(3000, 96, generator=generator) * torch.arange(1, 97).float() ** -0.7
    data = functional.normalize(data, dim=-1)
    half, whole = fit_pca(data, 56, "pca-int4"), fit_pca(data, 32)
    assert half.row_bytes == whole.row_bytes == 32
    scores = [
        functional.cosine_similarity(through_a_file(codec, data), data).median()
        for codec in (half, whole)
    ]
    assert scores[0] > scores[1]


def test_pca_of_the_same_sample_is_the_same(features):
    one, again = fit_pca(features, 8), fit_pca(features.clone(), 8)
    assert torch.equal(one.basis, again.basis)
    assert torch.equal(one.encode(features), again.encode(features))
    assert (one.basis.gather(1, one.basis.abs().argmax(1, keepdim=True)) > 0).all()


def test_pca_of_nothing_can_still_be_written():
    codec = fit_pca(torch.zeros(0, 8), 4)
    assert codec.encode(torch.zeros(0, 8)).shape == (0, 4)
    assert torch.isfinite(codec.decode(torch.zeros(2, 4, dtype=torch.uint8))).all()


CODECS = [
    Fp16(8),
    Int8(8),
    fit_pca(torch.randn(9, 8), 4),
    fit_pca(torch.randn(9, 16), 12, "pca-int4"),
]


@pytest.mark.parametrize("codec", CODECS)
def test_no_rays_are_no_bytes(codec):
    assert through_a_file(codec, torch.zeros(0, codec.channels)).shape == (0, codec.channels)
    read = torch.from_numpy(np.zeros((0, codec.row_bytes), dtype=np.uint8))  # a frame of sky alone
    assert codec.decode(read).shape == (0, codec.channels)


def test_no_features_have_no_bytes():
    assert NoFeatures().encode(torch.randn(5, 7)).shape == (5, 0)


@pytest.mark.parametrize("components", [0, 65])
def test_impossible_component_counts_are_refused(features, components):
    with pytest.raises(ConfigError, match="1 to 64 components"):
        fit_pca(features, components)


def test_half_bytes_without_a_partner_are_refused(features):
    with pytest.raises(ConfigError, match="even number"):
        fit_pca(features, 11, "pca-int4")


def test_unknown_codec_and_missing_arrays_are_named(features):
    with pytest.raises(DataError, match="fp16, int8"):
        codec_of("zip", 64, {})
    with pytest.raises(DataError, match="mean"):
        codec_of("pca-int8", 64, {})
    with pytest.raises(DataError, match="16 x 32"):
        codec_of("pca-int8", 32, fit_pca(features, 16).arrays)
