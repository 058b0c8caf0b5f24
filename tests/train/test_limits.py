"""What a step cannot do is said in words: memory, numbers; what a run would take is measured."""

from dataclasses import replace

import pytest
import torch
from toy_street import CONFIG, new_training

from langocc.errors import LangOccError
from langocc.train.checkpoint import load_checkpoint, newest_checkpoint, step_of
from langocc.train.faults import is_short_of_memory
from langocc.train.loop import DivergedError, ShortOfMemoryError
from langocc.train.memory import checkpoint_bytes, fixed_bytes, knobs
from langocc.train.trial import Trial, estimate, try_out

GIB = 2**30


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_short_memory_says_which_settings_free_how_much(tmp_path, monkeypatch, error):
    training = new_training(tmp_path)

    def fail(*_):
        raise error

    monkeypatch.setattr(training.model, "forward", fail)
    with pytest.raises(ShortOfMemoryError) as caught:
        training.fit(lambda _: None)
    text = str(caught.value)
    assert isinstance(caught.value, LangOccError)
    for setting in ("--batch-size 1", "--model.backbone.recompute", "--sample.rays 32"):
        assert f"{setting} frees about" in text
    assert text.startswith("step 0: out of memory on cpu")


def test_a_real_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_short_of_memory(caught.value)


def test_other_errors_pass_with_the_frames_noted(tmp_path, monkeypatch):
    training = new_training(tmp_path)

    def fail(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(training.model, "forward", fail)
    with pytest.raises(RuntimeError, match="something else") as caught:
        training.fit(lambda _: None)
    assert "step 0, frames frame-" in caught.value.__notes__[0]


def test_savings_are_in_proportion(tmp_path):
    model = new_training(tmp_path).model
    config = replace(CONFIG, batch_size=4)
    found = {k.setting: k for k in knobs(config, model, 4, 2, fixed_bytes(model) + 8 * GIB)}
    assert found["--batch-size 2"].frees_bytes == pytest.approx(4 * GIB)
    assert "twice as many processes (torchrun)" in found
    again = replace(
        config, model=replace(CONFIG.model, backbone=replace(CONFIG.model.backbone, recompute=True))
    )
    assert not any("recompute" in k.setting for k in knobs(again, model, 4, 2, GIB))


def test_the_size_of_a_checkpoint_is_foretold(tmp_path):
    training = new_training(tmp_path, replace(CONFIG, steps=1))
    training.fit(lambda _: None)
    size = newest_checkpoint(training.run.checkpoints).stat().st_size
    tensors = checkpoint_bytes(training.model)
    assert tensors < size < tensors + 200_000  # names and the configuration


def test_divergence_keeps_and_names_the_last_checkpoint(tmp_path):
    training = new_training(tmp_path, replace(CONFIG, checkpoint_steps=1, steps=6), poison=7)
    with pytest.raises(DivergedError, match=r"'feature' is nan \(frames frame-7\)") as caught:
        training.fit(lambda _: None)
    newest = newest_checkpoint(training.run.checkpoints)
    assert step_of(newest) >= 3  # number 7 comes in the second epoch of three steps
    assert f"{newest} is kept" in str(caught.value)
    assert all(t.isfinite().all() for t in load_checkpoint(newest).model.values())


def test_a_density_that_is_no_number_is_named(tmp_path, monkeypatch):
    training = new_training(tmp_path)
    forward = training.model.forward

    def spoilt(*inputs):
        field = forward(*inputs)
        return replace(
            field, density=field.density * torch.tensor([1.0, torch.nan])[:, None, None, None]
        )

    monkeypatch.setattr(training.model, "forward", spoilt)
    with pytest.raises(DivergedError, match=r"'density' is nan \(frames frame-\d\); no checkpoint"):
        training.fit(lambda _: None)


def test_a_trial_measures_and_writes_nothing(tmp_path):
    folder = tmp_path / "run"
    trial = try_out(new_training(folder), steps=2)
    assert trial.step_s > 0
    assert trial.sample_s > 0
    assert trial.peak_bytes > 50e6  # Python and torch alone take more
    assert not folder.exists()


def test_the_slower_of_step_and_loader_sets_the_time():
    trial = Trial(steps=3, step_s=0.5, sample_s=1.0, peak_bytes=0, first_loss=1.0)
    assert estimate(trial, 7200, samples=4, workers=16).hours == pytest.approx(1.0)
    slow = estimate(trial, 7200, samples=4, workers=2)
    assert slow.is_data_bound
    assert slow.hours == pytest.approx(4.0)
    assert estimate(trial, 7200, samples=4, workers=0).step_s == pytest.approx(4.5)
