# SPDX-License-Identifier: Apache-2.0
"""The model before training."""

from langocc.errors import ConfigError
from langocc.interop.initialise import initialise_from_detector, initialise_from_resnet
from langocc.model.langocc import LangOcc
from langocc.teachers.reducer import load_reducer
from langocc.train.config import TrainConfig


def initial_model(config: TrainConfig) -> LangOcc:
    """The model before training.

    Raises:
        DataError: a file of initial weights or of the reducer cannot be used.
        ConfigError: targets are to be reduced and there is no reducer.
    """
    model = LangOcc(config.model)
    if config.initial_weights is not None:
        initialise = {"resnet": initialise_from_resnet, "detector": initialise_from_detector}
        initialise[config.initial](model, config.initial_weights)
    if model.reducer is not None:
        if config.reducer is None:
            raise ConfigError(
                "reducer: this preset reduces its targets; `langocc reduce` makes one"
            )
        reducer, _ = load_reducer(config.reducer)
        if reducer.U.shape != model.reducer.U.shape:
            raise ConfigError(
                f"{config.reducer}: expected a reducer of {tuple(model.reducer.U.shape)}, found "
                f"{tuple(reducer.U.shape)}"
            )
        model.reducer.load_state_dict(reducer.state_dict())
    return model
