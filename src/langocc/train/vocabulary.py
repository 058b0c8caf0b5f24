# SPDX-License-Identifier: Apache-2.0
"""The vocabulary that a training may know: some losses ask what a teacher's feature is called."""

from collections.abc import Mapping
from typing import Any

from langocc.errors import ConfigError
from langocc.teachers.embeddings import EmbeddedVocabulary, load_embeddings
from langocc.teachers.names import speaks_for
from langocc.train.config import TrainConfig


def training_vocabulary(config: TrainConfig, facts: Mapping[str, Any]) -> EmbeddedVocabulary | None:
    """The run's vocabulary; None where no loss asks for it.

    Args:
        config: The run's settings.
        facts: Of the run; `teacher` names the teacher of the rays' features.

    Raises:
        ConfigError: there is no vocabulary, or one of another teacher.
        DataError: its file cannot be used.
    """
    if not config.loss.needs_vocabulary:
        return None
    if config.vocabulary is None or not config.sample.features:
        raise ConfigError(
            "loss.movable, loss.movable-extra, loss.text-weight: expected --vocabulary (a file of "
            f"`langocc vocab --out`) and rays with features, found {config.vocabulary} and "
            f"sample.features {config.sample.features}"
        )
    embedded = load_embeddings(config.vocabulary)
    teacher = facts.get("teacher", embedded.teacher)
    if not speaks_for(embedded.teacher, teacher):
        raise ConfigError(
            f"{config.vocabulary}: expected embeddings of the store's teacher {teacher!r}, found "
            f"{embedded.teacher!r}"
        )
    return embedded
