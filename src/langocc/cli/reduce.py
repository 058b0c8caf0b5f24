# SPDX-License-Identifier: Apache-2.0
"""`langocc reduce OUT`: the map to fewer channels that the reduced preset trains in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError
from langocc.teachers.names import TEXT_CLIP

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
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each prompt over the 85 templates, as published."""
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
        from langocc.teachers.load import load_teacher
        from langocc.teachers.reducer import save_reducer
        from langocc.teachers.text import load_vocabulary

        self._check()
        vocabulary = load_vocabulary(self.vocabulary)
        teacher = load_teacher(self.teacher, text=self.text)
        if self.channels > teacher.channels:
            raise ConfigError(f"channels {self.channels}: the teacher has {teacher.channels}")
        vectors = teacher.text(vocabulary.prompts, templates=self.templates)
        ids = vocabulary.class_of_prompt()
        features = self._features(teacher.id)
        reducer, told = self._made(vectors, ids, features)
        facts = {"teacher": teacher.id, "vocabulary": vocabulary.name, "method": self.method}
        save_reducer(reducer, self.out, **facts, templates=str(self.templates).lower())
        print(
            f"{teacher.channels} -> {self.channels} channels for {vocabulary.name} ({teacher.id}): "
            f"{told}"
        )
        self._tell(reducer, vectors, ids, features)
        print(f"written: {self.out}")

    def _tell(
        self, reducer: "Reducer", vectors: "Tensor", ids: "Tensor", features: "Tensor | None"
    ) -> None:
        """Says what the reducer keeps of the prompts and of the ranking of their classes."""
        import math

        import torch

        from langocc.teachers.reducer import angle_loss
        from langocc.teachers.reducer_loss import reducer_loss, rivals_changed

        with torch.no_grad():
            angle_deg = math.degrees(float(angle_loss(reducer, vectors)))
            cosine = float((reducer.reconstruct(reducer.reduce(vectors)) * vectors).sum(-1).mean())
        print(
            f"prompts come back with a cosine of {cosine:.4f} (a mean angle of {angle_deg:.1f} "
            f"degrees); {rivals_changed(reducer, vectors, ids):.1%} of them have a nearest rival "
            "of another class than before"
        )
        if features is None:
            print("name --store to see how many rays would answer with another class")
            return
        loss = reducer_loss(reducer, vectors, ids, features)
        print(
            f"{loss.changed:.2%} of {len(features):,} rays answer with another class; of a "
            f"prompt's best 1 % of rays {loss.answer_kept:.1%} are still its best"
        )

    def _check(self) -> None:
        if self.channels < 1 or self.steps < 0 or self.rows < 1:
            found = f"channels {self.channels}, steps {self.steps}, rows {self.rows}"
            raise ConfigError(f"{found}: expected >= 1, >= 0, >= 1")
        if self.method == "features" and self.store is None:
            raise ConfigError("method features: expected --store, a feature store to take them of")

    def _features(self, teacher: str) -> "Tensor | None":
        from langocc.features.inspection import sample_features
        from langocc.features.store import open_store
        from langocc.teachers.names import speaks_for

        if self.store is None:
            return None
        store = open_store(self.store)
        if not speaks_for(teacher, store.record.teacher):
            raise ConfigError(
                f"{self.store}: expected features of the teacher {teacher!r}, found "
                f"{store.record.teacher!r} with {store.record.channels} channels"
            )
        features = sample_features(store, self.rows)
        if len(features) == 0:
            raise ConfigError(f"{self.store}: expected rays that see something, found none")
        return features

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
