# SPDX-License-Identifier: Apache-2.0
"""Teachers on the GPU give what they give on the CPU."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from langocc.teachers.folded import folded
from langocc.teachers.load import load_teacher
from langocc.teachers.maskclip_plus import MaskClipPlusNetwork
from langocc.teachers.sampling import sample_upsampled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dense_and_text_equal_the_cpus(clip_folder: Path, dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (2, 3, 90, 160), dtype=torch.uint8)
    host = load_teacher(str(clip_folder))
    device = load_teacher(str(clip_folder), device="cuda", dtype=dtype)
    dense = device.dense(images)
    assert dense.is_cuda
    cosine = functional.cosine_similarity(dense.float().cpu(), host.dense(images), dim=1)
    assert cosine.min() > (0.9999 if dtype == torch.float32 else 0.99)
    vectors = device.text(["a red car"])
    assert vectors.is_cuda
    assert (vectors.cpu() * host.text(["a red car"])).sum() > 0.99


@torch.no_grad()
def test_folded_maskclip_plus_equals_the_cpus() -> None:
    torch.manual_seed(0)
    network, image = MaskClipPlusNetwork(50).eval(), torch.randn(1, 3, 128, 224)
    expected = network(image)
    whole = folded(network).cuda()(image.cuda()).cpu()
    scale = float(expected.abs().max())
    torch.testing.assert_close(whole, expected, rtol=1e-2, atol=1e-3 * scale)  # TF32 convolutions
    half = folded(network, torch.bfloat16).cuda()(image.cuda().bfloat16()).float().cpu()
    assert functional.cosine_similarity(half, expected, dim=1).min() > 0.99


def test_reading_pixels_equals_the_cpus() -> None:
    dense, pixels = torch.randn(32, 16, 28), torch.rand(200, 2) * 100
    found = sample_upsampled(dense.cuda(), pixels.cuda(), (180, 320), (128, 224))
    expected = sample_upsampled(dense, pixels, (180, 320), (128, 224))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
