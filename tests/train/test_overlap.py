"""Gradients shared during the backward pass are those shared after it; errors end the run."""

import pytest
from processes_kit import run_two

KIT = "overlap_kit.py"


@pytest.mark.slow
def test_gradients_and_weights_are_those_of_sharing_after_the_backward_pass(tmp_path):
    done = run_two(KIT, tmp_path, "compare")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "complaint"),
    [
        ("broken", "this gradient is broken"),
        ("again", "expected its gradient 1 times, as in the first step, found it 2 times"),
        ("new", "spare.bias: expected its gradient 0 times, as in the first step, found it 1"),
    ],
)
def test_a_backward_pass_that_goes_wrong_in_one_process_ends_the_run(tmp_path, way, complaint):
    done = run_two(KIT, tmp_path, way)
    assert done.returncode != 0
    assert complaint in done.stderr
