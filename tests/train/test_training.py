"""The whole way on a toy: it learns, resumes to the bit, and stops with a name when it diverges."""

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from toy_street import CONFIG, losses_of, new_training

from langocc.errors import ConfigError
from langocc.presets import PRESETS
from langocc.train.checkpoint import load_checkpoint, newest_checkpoint
from langocc.train.config import config_as_dict, config_from_dict, read_config
from langocc.train.loop import DivergedError


def test_it_learns(tmp_path):
    config = replace(CONFIG, steps=60, checkpoint_steps=100)
    new_training(tmp_path, config).fit(lambda _: None)
    losses = losses_of(tmp_path)
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])


def test_a_killed_run_continues_to_the_bit(tmp_path):
    new_training(tmp_path / "whole").fit(lambda _: None)

    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == 5:  # two steps after the checkpoint of step 3
            raise KilledError

    with pytest.raises(KilledError):
        new_training(tmp_path / "killed").fit(kill)
    second = new_training(tmp_path / "killed")
    assert second.resume()
    assert second.step == 3
    second.fit(lambda _: None)
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")
    files = [
        tmp_path / name / "checkpoints" / "step-00000008.safetensors"
        for name in ("whole", "killed")
    ]
    whole, killed = (load_checkpoint(file) for file in files)
    assert whole.metadata["sha256"] == killed.metadata["sha256"]


def test_a_signal_saves_the_last_whole_step(tmp_path):
    training = new_training(tmp_path)

    def interrupt(progress):
        if progress.step == 4:
            signal.raise_signal(signal.SIGTERM)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        training.fit(interrupt)
    # The signal comes after step 4 is logged; its checkpoint is written before the loop ends.
    assert newest_checkpoint(training.run.checkpoints).name == "step-00000004.safetensors"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_loss_that_is_no_number_names_term_and_frame(tmp_path):
    training = new_training(tmp_path, poison=2)
    with pytest.raises(DivergedError, match=r"'(total|feature)' is nan.*frame-2"):
        training.fit(lambda _: None)
    for path in training.run.checkpoints.glob("*.safetensors"):
        assert all(t.isfinite().all() for t in load_checkpoint(path).model.values())


def test_settings_round_trip():
    assert config_from_dict(config_as_dict(CONFIG), "memory") == CONFIG


def test_a_typo_in_a_settings_file_is_named(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("loss: {opacity_wait: 0.1}\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml.*loss\.opacity_wait"):
        read_config(path, CONFIG)


def test_a_settings_file_lies_over_the_preset(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("loss: {opacity_weight: 0.1}\nsteps: 5\n")
    config = read_config(path, CONFIG)
    assert config == replace(CONFIG, steps=5, loss=replace(CONFIG.loss, opacity_weight=0.1))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_survive_json(name):
    preset = PRESETS[name]
    text = json.dumps(config_as_dict(preset))
    assert config_from_dict(json.loads(text), "memory") == preset
