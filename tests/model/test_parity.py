"""Every recorded array of the network, one test each."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_kit import run_networks
from parity_ops import INPUTS, run_ops
from parity_table import FILES, compare, recorded_array

GIVEN = {"preds", "class_weights", "embeddings_v1", "embeddings_v2"}
"""Recorded inputs of the class decision."""
ELSEWHERE = {"language", "loss"}
"""Rendered from the reduced field: compared where rendering is."""


def _names(network: bool) -> list[str]:
    """Arrays to compare, from the manifest, so that none is forgotten."""
    shared = Path(os.environ.get("LANGOCC_SHARED", Path(__file__).parents[3] / "shared"))
    manifest = shared / "parity" / "manifest.json"
    if not manifest.exists():
        return ["manifest"]  # the fixture skips and says why
    content = json.loads(manifest.read_text())
    if not network:
        ours = ("pool_", "dec_", "cv_")
        arrays = [a for a in content["ops.npz"] if a.startswith(ours) and "dec_w" not in a]
        return [f"ops:{array}" for array in arrays if array not in INPUTS]
    return [
        f"{file}:{array}"
        for file in FILES
        if file != "ops"
        for array in content[f"{file}.npz"]
        if array not in GIVEN
        and not (file == "reduced" and array in ELSEWHERE)
        and not (file == "classes" and not array.startswith("classes_"))
    ]


@pytest.fixture(scope="module")
def networks(parity_dir: Path) -> dict[str, np.ndarray]:
    return run_networks(parity_dir)


@pytest.fixture(scope="module", params=["readable", "fused", "triton"])
def ops(request: pytest.FixtureRequest, parity_dir: Path) -> dict[str, np.ndarray]:
    if request.param == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
        if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
            pytest.skip("Triton was told not to interpret, and there is no GPU")
    return run_ops(parity_dir, request.param)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", _names(network=True))
def test_network(name: str, networks: dict[str, np.ndarray], parity_dir: Path) -> None:
    row = compare(name, networks[name], recorded_array(parity_dir, name))
    assert row.is_equal, row


@pytest.mark.parity
@pytest.mark.parametrize("name", _names(network=False))
def test_op(name: str, ops: dict[str, np.ndarray], parity_dir: Path) -> None:
    row = compare(name, ops[name], recorded_array(parity_dir, name))
    assert row.is_equal, row
