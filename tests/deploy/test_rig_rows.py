"""A rig as rows of numbers: from them, what the model itself would make of the rig."""

import numpy as np
import pytest
import torch
from deploy_kit import drive, predictor

from langocc.deploy.arrivals import augmentations_of
from langocc.deploy.rig_rows import compared_rows, comparisons, lifted_rows, placements
from langocc.features.sample import camera_rig
from langocc.model import stages
from langocc.model.lift import OUTSIDE

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    ],
)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("quirks", ["published", "none"])
def test_rows_say_what_the_stages_compute(device: str, quirks: str) -> None:
    """On a processor bit for bit; on a GPU points that rounding moves over a border change voxels.

    Of a frame's 648 points one may.
    """
    made, frames = predictor(quirks, device=device), drive(3)[::-1]
    model, cuts = made.model, augmentations_of(frames[0], (96, 48))
    rig = camera_rig(frames[0], frames, cuts, np.eye(3))
    missing = [torch.tensor([False, True, False]), torch.zeros(3).bool()]
    rows = lifted_rows(rig, model.config.quirks, missing)
    pairs = compared_rows(rig, [0, 1], missing)
    assert rows.device.type == pairs.device.type == "cpu"
    found = placements(model, rows.to(device))
    places, is_blind = comparisons(model, pairs.to(device))
    assert torch.equal(is_blind.cpu(), torch.stack(missing))
    for frame, is_missing in enumerate(missing):
        expected = stages.placement(model, rig, frame, is_missing.to(device))
        assert torch.equal(found[frame].numbers, expected.numbers)
        moved = found[frame].cells != expected.cells
        assert moved.float().mean() <= (0 if device == "cpu" else 2e-3)
        assert bool((found[frame].cells[0, is_missing] == OUTSIDE).all())
        assert bool((expected.cells != OUTSIDE).any())
        grid = stages.stereo_places(model, rig, frame)
        torch.testing.assert_close(places[frame], grid, rtol=0, atol=0)
