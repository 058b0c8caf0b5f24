"""Stages through torch's compiler learn what plain ones learn, and leave the same checkpoints."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_street import CONFIG, losses_of, new_training

from langocc.train.checkpoint import load_checkpoint

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_compiled
from langocc.train import compiled
compiled.STAGES = tuple(sys.argv[3].split(","))
test_compiled.train(Path(sys.argv[2]), True, sys.argv[4])
"""
"""A process of its own: the compiler cannot look through the type checks of the tests."""


def train(folder, is_compiled, device):
    """Three steps without dropout, whose numbers the compiler draws otherwise."""
    depth = replace(CONFIG.model.depth, dropout=0.0)
    model = replace(CONFIG.model, depth=depth)
    config = replace(CONFIG, model=model, steps=3, precision="fp32", compile=is_compiled)
    new_training(folder, config, device=device).fit(lambda _: None)


ALL = "backbone,neck,depth_net,pre_process,encoder,pyramid,final_conv"
ON_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="minutes without an NVIDIA GPU"),
]


@pytest.mark.parametrize("stages", ["neck", pytest.param(ALL, marks=ON_GPU)])
def test_compiled_stages_learn_as_plain_ones(tmp_path, stages):
    device = "cuda" if stages == ALL else "cpu"
    train(tmp_path / "plain", False, device)
    here = str(Path(__file__).parent)
    words = [sys.executable, "-c", SCRIPT, here, str(tmp_path / "compiled"), stages, device]
    subprocess.run(words, check=True)
    plain, compiled = (losses_of(tmp_path / name) for name in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, rel=5e-3)  # Adam makes much of rounding
    left, right = (
        load_checkpoint(tmp_path / name / "checkpoints" / "step-00000003.safetensors").model
        for name in ("plain", "compiled")
    )
    assert left.keys() == right.keys()
