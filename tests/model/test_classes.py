"""From prompts to classes: best prompt, mean, weights."""

import pytest
import torch

from langocc.model.classes import candidates, nearest_class

PROMPTS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
IDS = torch.tensor([4, 11, 4])


def test_best_prompt() -> None:
    features = torch.tensor([[3.0, 0.1], [0.0, 2.0], [0.5, 0.7]])
    assert nearest_class(features, candidates(PROMPTS, IDS)).tolist() == [4, 11, 4]


def test_mean_of_a_class() -> None:
    """The third prompt is nearest, but class 4's mean similarity is less than class 11's."""
    feature = torch.tensor([[0.5, 0.8]])
    among = candidates(PROMPTS, IDS, averaged=True)
    assert among.class_ids.tolist() == [4, 11]
    torch.testing.assert_close(among.vectors, torch.tensor([[0.8, 0.4], [0.0, 1.0]]))
    assert nearest_class(feature, candidates(PROMPTS, IDS)).tolist() == [4]
    assert nearest_class(feature, among).tolist() == [11]


def test_weights() -> None:
    among = candidates(PROMPTS, IDS, torch.tensor([1.0, 2.0, 1.0]))
    assert nearest_class(torch.tensor([[0.6, 0.8]]), among).tolist() == [11]


def test_no_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="0 prompts, 0 classes, 0 weights"):
        candidates(PROMPTS[:0], IDS[:0])
