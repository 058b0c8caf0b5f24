# SPDX-License-Identifier: Apache-2.0
"""The trained reducer beside principal components, on words inside and outside the vocabulary.

    python recipes/reducer_report.py CITY STORE --teacher city-clip

STORE holds features of CITY as fp16 or int8 (a pca codec has cut them already). Components are
fitted to its first scenes, and every reducer is judged on its last one. Words inside are the
prompts of the vocabulary; words outside are the queries of CITY's retrieval benchmark that are no
prompts.
"""

import argparse
from pathlib import Path

import torch

from langocc.errors import ConfigError
from langocc.evaluate.benchmark import read_rows
from langocc.features.inspection import sample_features
from langocc.features.store import FeatureStore, open_store
from langocc.scenes.nuscenes import load
from langocc.teachers.load import load_teacher
from langocc.teachers.names import speaks_for
from langocc.teachers.reducer import Reducer, principal_reducer, train_reducer
from langocc.teachers.reducer_loss import reducer_loss
from langocc.teachers.text import load_vocabulary


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description="The trained reducer beside PCA.")
    parser.add_argument("city", type=Path, help="data root with a retrieval benchmark")
    parser.add_argument("store", type=Path, help="its features, fp16 or int8, two scenes or more")
    parser.add_argument("--teacher", default="city-clip")
    parser.add_argument("--vocabulary", default="v1")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--rows", type=int, default=20_000, help="rays to fit to, and to judge on")
    options = parser.parse_args()
    teacher, vocabulary = load_teacher(options.teacher), load_vocabulary(options.vocabulary)
    store = open_store(options.store)
    if not speaks_for(teacher.id, store.record.teacher):
        raise ConfigError(
            f"{options.store}: expected features of {teacher.id}, found {store.record.teacher}"
        )
    if store.record.codec not in ("fp16", "int8") or len(store.scenes()) < 2:
        raise ConfigError(f"{options.store}: expected fp16 or int8 features of two scenes or more")
    *first, last = store.scenes()
    fit = sample_features(of_scenes(store, first), options.rows)
    judged = sample_features(of_scenes(store, [last]), options.rows)
    folder = load(options.city).folders.retrieval
    if folder is None:
        raise ConfigError(f"{options.city}: expected a retrieval benchmark, found none")
    queries = {row.query for row in read_rows(folder, ("train", "val", "test"))}
    outside = sorted(queries - set(vocabulary.prompts))
    prompts, ids = teacher.text(vocabulary.prompts), vocabulary.class_of_prompt()
    words, own = teacher.text(outside), torch.arange(len(outside))
    print(
        f"{len(prompts)} words inside ({vocabulary.name}), {len(words)} outside, "
        f"{len(judged):,} rays\n"
    )
    head = [
        "channels",
        "reducer",
        "cosine, inside",
        "outside",
        "best class changes",
        "best word outside changes",
    ]
    print(row([*head, "best 1 % of rays kept, inside", "outside"]), row(["---"] * 8), sep="\n")
    for channels in options.channels:
        for name, reducer in reducers(channels, prompts, fit).items():
            inner = reducer_loss(reducer, prompts, ids, judged)
            outer = reducer_loss(reducer, words, own, judged)
            shares = [inner.changed, outer.changed, inner.answer_kept, outer.answer_kept]
            cells = [str(channels), name, f"{inner.cosine:.3f}", f"{outer.cosine:.3f}"]
            print(row([*cells, *(f"{share:.1%}" for share in shares)]))


def reducers(channels: int, prompts: torch.Tensor, features: torch.Tensor) -> dict[str, Reducer]:
    """By name; the trained one starts from seed 0."""
    trained = Reducer(prompts.shape[1], channels, torch.Generator().manual_seed(0))
    train_reducer(trained, prompts)
    return {
        "trained on the prompts": trained,
        "PCA of the prompts": principal_reducer(prompts, channels),
        "PCA of features": principal_reducer(features, channels),
    }


def of_scenes(store: FeatureStore, scenes: list[str]) -> FeatureStore:
    """The store as if it held these scenes alone."""

    class Part(FeatureStore):
        def scenes(self) -> list[str]:
            return scenes

    return Part(store.folder, store.record)


def row(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
