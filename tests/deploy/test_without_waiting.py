"""One text in one pass over the voxels; on a GPU, pushes and questions that nobody waits for."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from deploy_kit import drive, pictures, predictor
from torch import nn
from torch.nn.functional import normalize

from langocc.deploy.arrivals import augmentations_of
from langocc.deploy.fast import Fast
from langocc.deploy.feeding import arrived
from langocc.deploy.prepared import PreparedField
from langocc.deploy.stream import Stream
from langocc.deploy.texts import cosines, folded_queries
from langocc.features.sample import camera_rig

text_kernel = pytest.importorskip("langocc.deploy.text_kernel", reason="Triton is not installed")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
interpreted = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="Triton was told not to interpret, and there is no GPU",
)
LONG = 2_000_000_000
"""Cycles for which a GPU is kept busy: a second or so."""
COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from langocc.deploy.text_kernel import BLOCK, cosine_kernel
constants = {"WIDTH": 256, "WIDTH_BLOCK": 256, "BLOCK": BLOCK}
types = {"hidden": "*bf16", "voxels": "i32"} | dict.fromkeys(constants, "constexpr")
signature = {name: types.get(name, "*fp32") for name in cosine_kernel.arg_names}
source = ASTSource(fn=cosine_kernel, signature=signature, constexprs=constants)
print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]))
"""


def vectors(count: int) -> torch.Tensor:
    drawn = torch.randn(count, 512, generator=torch.Generator().manual_seed(1))
    return normalize(drawn, dim=-1).to(DEVICE)


@interpreted
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_text_equals_the_readable_way(dtype: torch.dtype) -> None:
    """Odd numbers of voxels and channels; readably, the text too is rounded to `dtype`."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(77, 24, generator=generator).relu().to(DEVICE, dtype)
    inverse = torch.rand(77, generator=generator).to(DEVICE)
    last = nn.Linear(24, 512).to(DEVICE).requires_grad_(False)
    pair = vectors(2)
    expected = cosines(pair, hidden, inverse, last)[:1]
    found = text_kernel.triton_cosines(*folded_queries(pair[:1], last), hidden, inverse)
    slack = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(found, expected, rtol=slack, atol=slack)


def test_the_kernel_compiles(tmp_path: Path) -> None:
    """In a process of its own, because here Triton may have been told to interpret."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = tmp_path / "compile.py"
    script.write_text(COMPILE)
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1000


def streaming() -> tuple[Stream, list, torch.Tensor]:
    """On a GPU, after some frames; those to come, and their inputs."""
    made = predictor(device="cuda")
    engine = Fast(made.model, vectors(20), swap_rgb=False)
    stream, frames = Stream(made, engine=engine), drive(8)
    inputs = arrived(made, frames[0], pictures(frames[0])).inputs.cuda()
    for frame in frames[:4]:
        stream.push(frame, inputs)
    return stream, frames[4:], inputs


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs an NVIDIA GPU")
def test_nobody_waits_for_the_gpu() -> None:
    stream, frames, inputs = streaming()
    engine, shown = stream.engine, frames[2::-1]
    assert isinstance(engine, Fast)
    rig = camera_rig(shown[0], shown, augmentations_of(shown[0], (96, 48)), np.eye(3))
    text = vectors(21)[20:]

    def work(frame) -> None:
        field = stream.push(frame, inputs).field
        assert isinstance(field, PreparedField)
        assert field.prepared is not None
        field.classes(field.prepared.vectors)
        field.query(text)
        engine.whole(inputs[None].expand(3, -1, -1, -1, -1), rig)

    waited = []
    for frame in frames[:3]:  # all is recorded, then memory for what is on its way is taken
        torch.cuda._sleep(LONG)
        awake = torch.cuda.Event()
        awake.record()
        work(frame)
        waited.append(awake.query())
        torch.cuda.synchronize()
        assert awake.query()
    assert not waited[-1]


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs an NVIDIA GPU")
def test_a_text_is_asked_of_the_frame_at_hand() -> None:
    """The recorded way equals the general one for each frame, and leaves clones to that."""
    stream, frames, inputs = streaming()
    pair, kept = vectors(2), []
    for frame in frames[:3]:
        field = stream.push(frame, inputs).field
        assert isinstance(field, PreparedField)
        said = field.prepared
        assert said is not None
        assert said.text is not None
        expected = field.query(pair)[:, :1]
        torch.testing.assert_close(field.query(3 * pair[:1]), expected, rtol=1e-2, atol=1e-2)
        clone = replace(said, hidden=said.hidden.clone(), inverse=said.inverse.clone())
        kept.append((replace(field, prepared=clone), expected))
    for field, expected in kept:
        torch.testing.assert_close(field.query(pair[:1]), expected, rtol=1e-2, atol=1e-2)
