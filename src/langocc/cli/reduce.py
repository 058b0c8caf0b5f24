# SPDX-License-Identifier: Apache-2.0
"""`langocc reduce OUT`: the map to fewer channels that the reduced preset trains in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from langocc.errors import ConfigError


@dataclass(frozen=True)
class Reduce:
    """Trains a reducer on a vocabulary's prompts and writes it."""

    out: Annotated[Path, tyro.conf.Positional]
    """File to write (safetensors)."""
    vocabulary: str = "v1"
    """v1, v2, city, or a YAML file of class -> prompts."""
    teacher: str = "city-clip"
    """`city-clip`, a CLIP on the hub, a folder or a checkpoint file."""
    channels: int = 128
    """Channels of the small space."""
    method: Literal["trained", "principal"] = "trained"
    """`trained` as published; `principal` takes the prompts' principal directions."""
    separation: Literal["none", "cosine", "mse", "margin"] = "none"
    """Term that pushes classes apart; the paper has none."""
    steps: int = 250
    """Of training, at most."""
    seed: int = 0
    """Of the map to start from."""

    def run(self) -> None:
        """Trains, tells, writes."""
        import math

        import torch

        from langocc.teachers.load import load_teacher
        from langocc.teachers.reducer import (
            Reducer,
            angle_loss,
            principal_reducer,
            save_reducer,
            train_reducer,
        )
        from langocc.teachers.text import load_vocabulary

        if self.channels < 1 or self.steps < 0:
            raise ConfigError(f"channels {self.channels}, steps {self.steps}: expected >= 1, >= 0")
        vocabulary = load_vocabulary(self.vocabulary)
        teacher = load_teacher(self.teacher)
        if self.channels > teacher.channels:
            raise ConfigError(f"channels {self.channels}: the teacher has {teacher.channels}")
        vectors = teacher.text(vocabulary.prompts)
        if self.method == "principal":
            reducer, told = principal_reducer(vectors, self.channels), "principal directions"
        else:
            generator = torch.Generator().manual_seed(self.seed)
            reducer = Reducer(teacher.channels, self.channels, generator)
            training = train_reducer(
                reducer,
                vectors,
                vocabulary.class_of_prompt(),
                steps=self.steps,
                separation=self.separation,
            )
            told = f"{len(training.losses)} steps, ended by: {training.stopped}"
        with torch.no_grad():
            angle_deg = math.degrees(float(angle_loss(reducer, vectors)))
        facts = {"teacher": teacher.id, "vocabulary": vocabulary.name, "method": self.method}
        save_reducer(reducer, self.out, **facts)
        print(
            f"{teacher.channels} -> {self.channels} channels for {vocabulary.name} ({teacher.id}): "
            f"{told}; prompts come back within {angle_deg:.1f} degrees\nwritten: {self.out}"
        )
