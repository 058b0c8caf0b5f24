# SPDX-License-Identifier: Apache-2.0
"""The model before training."""

from pathlib import Path

from langocc.errors import ConfigError
from langocc.interop.initialise import (
    Initialised,
    initialise_from_detector,
    initialise_from_resnet,
)
from langocc.model.langocc import LangOcc
from langocc.teachers.names import speaks_for
from langocc.teachers.reducer import Reducer, load_reducer
from langocc.train.config import TrainConfig


def initial_model(
    config: TrainConfig, teacher: str | None = None
) -> tuple[LangOcc, Initialised | None]:
    """The model before training, and what a file of initial weights gave to it.

    Args:
        config: The run's settings.
        teacher: Id of the teacher of the features to train on; None: not known.

    Raises:
        DataError: a file of initial weights or of the reducer cannot be used.
        ConfigError: targets are to be reduced and there is no reducer, or one of another size or
            teacher.
    """
    model, account = LangOcc(config.model), None
    if config.initial_weights is not None:
        initialise = {"resnet": initialise_from_resnet, "detector": initialise_from_detector}
        account = initialise[config.initial](model, config.initial_weights)
    if model.reducer is not None:
        if config.reducer is None:
            raise ConfigError(
                "reducer: this preset reduces its targets; `langocc reduce` makes one"
            )
        reducer = _fitting_reducer(config.reducer, model.reducer, teacher)
        model.reducer.load_state_dict(reducer.state_dict())
    return model, account


def _fitting_reducer(path: Path, like: Reducer, teacher: str | None) -> Reducer:
    reducer, facts = load_reducer(path)
    if reducer.U.shape != like.U.shape:
        raise ConfigError(
            f"{path}: expected a reducer of {tuple(like.U.shape)}, found {tuple(reducer.U.shape)}"
        )
    made_for = facts.get("teacher")
    if made_for is not None and teacher is not None and not speaks_for(made_for, teacher):
        raise ConfigError(f"{path}: expected a reducer made for {teacher}, found {made_for}'s")
    return reducer
