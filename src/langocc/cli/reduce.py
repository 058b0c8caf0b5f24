# SPDX-License-Identifier: Apache-2.0
"""`langocc reduce OUT`: the map to fewer channels that the reduced preset trains in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from langocc.teachers.reducer import Reducer


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
    method: Literal["trained", "principal", "features"] = "trained"
    """`trained` as published; `principal` takes the prompts' principal directions, `features`
    those of the features of --store, whatever the words."""
    store: Path | None = None
    """Feature store: also tells how many of its rays would answer with another class."""
    rows: int = 20_000
    """Rays of the store that are looked at."""
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
        from langocc.teachers.reducer import angle_loss, save_reducer
        from langocc.teachers.reducer_loss import reducer_loss
        from langocc.teachers.text import load_vocabulary

        self._check()
        vocabulary = load_vocabulary(self.vocabulary)
        teacher = load_teacher(self.teacher)
        if self.channels > teacher.channels:
            raise ConfigError(f"channels {self.channels}: the teacher has {teacher.channels}")
        vectors, ids = teacher.text(vocabulary.prompts), vocabulary.class_of_prompt()
        features = self._features(teacher.id)
        reducer, told = self._made(vectors, ids, features)
        with torch.no_grad():
            angle_deg = math.degrees(float(angle_loss(reducer, vectors)))
        facts = {"teacher": teacher.id, "vocabulary": vocabulary.name, "method": self.method}
        save_reducer(reducer, self.out, **facts)
        print(
            f"{teacher.channels} -> {self.channels} channels for {vocabulary.name} ({teacher.id}): "
            f"{told}; prompts come back within {angle_deg:.1f} degrees"
        )
        if features is not None:
            loss = reducer_loss(reducer, vectors, ids, features)
            print(
                f"prompts come back with a cosine of {loss.cosine:.4f}; {loss.changed:.2%} of "
                f"{len(features):,} rays answer with another class"
            )
        print(f"written: {self.out}")

    def _check(self) -> None:
        if self.channels < 1 or self.steps < 0 or self.rows < 1:
            found = f"channels {self.channels}, steps {self.steps}, rows {self.rows}"
            raise ConfigError(f"{found}: expected >= 1, >= 0, >= 1")
        if self.method == "features" and self.store is None:
            raise ConfigError("method features: expected --store, a feature store to take them of")

    def _features(self, teacher: str) -> "Tensor | None":
        from langocc.features.inspection import sample_features
        from langocc.features.store import open_store

        if self.store is None:
            return None
        return sample_features(open_store(self.store, teacher=teacher), self.rows)

    def _made(
        self, vectors: "Tensor", class_ids: "Tensor", features: "Tensor | None"
    ) -> "tuple[Reducer, str]":
        import torch

        from langocc.teachers.reducer import Reducer, principal_reducer, train_reducer

        if self.method == "features" and features is not None:
            return principal_reducer(features, self.channels), "principal directions of features"
        if self.method == "principal":
            return principal_reducer(vectors, self.channels), "principal directions of prompts"
        generator = torch.Generator().manual_seed(self.seed)
        reducer = Reducer(vectors.shape[1], self.channels, generator)
        training = train_reducer(
            reducer, vectors, class_ids, steps=self.steps, separation=self.separation
        )
        return reducer, f"{len(training.losses)} steps, ended by: {training.stopped}"
