# SPDX-License-Identifier: Apache-2.0
"""`langocc features info | verify | convert`: looks after feature stores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from langocc.errors import ConfigError, DataError


@dataclass(frozen=True)
class Info:
    """Says what a store holds."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a store: WORK/features/... or WORK/rays/..."""

    def run(self) -> None:
        """Prints the record and the counts."""
        from rich.console import Console
        from rich.table import Table

        from langocc.features.inspection import store_facts
        from langocc.features.store import open_store

        store = open_store(self.store)
        record, facts = store.record, store_facts(store)
        per_frame_mb = facts.size_bytes / max(facts.frames, 1) / 1e6
        table = Table(show_header=False, box=None)
        codec = record.codec + (f", {record.components} components" if record.components else "")
        for name, value in {
            "teacher": record.teacher or "none: rays alone",
            "channels": record.channels,
            "codec": codec,
            "ray source": record.rays.get("source", "?"),
            "sky": record.sky or "not asked for",
            "hash": record.hash,
            "scenes": facts.scenes,
            "key frames": f"{facts.frames} ({facts.bare} without rays)",
            "rays": f"{facts.rays:,} ({facts.rays / max(facts.frames, 1):,.0f} a key frame)",
            "sky rays, sure hits": f"{facts.sky_share:.1%}, {facts.hit_share:.1%}",
            "size": f"{facts.size_bytes / 1e9:.3f} GB ({per_frame_mb:.2f} MB a key frame)",
        }.items():
            table.add_row(name, str(value))
        Console().print(table)


@dataclass(frozen=True)
class Verify:
    """Reads every byte of a store and compares checksums; exits with 1 if one differs."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a store."""
    delete: bool = False
    """Delete damaged shards, so that `langocc extract` (or prepare) writes them again."""

    def run(self) -> None:
        """Names the damaged shards.

        Raises:
            DataError: there are some.
        """
        from langocc.features.inspection import damaged_scenes
        from langocc.features.progress import scene_progress
        from langocc.features.store import open_store

        store = open_store(self.store)
        scenes = len(store.scenes())
        with scene_progress("verify", scenes, "scenes") as advance:
            wrong = damaged_scenes(store, lambda: advance(1))
        if not wrong:
            print(f"{self.store}: {scenes} shards, every checksum holds")
            return
        if self.delete:
            for scene in wrong:
                store.path_of(scene).unlink()
        done = "deleted; run extract again" if self.delete else "--delete removes them"
        lines = "\n".join(f"  {message}" for message in wrong.values())
        raise DataError(f"{len(wrong)} of {scenes} shards are damaged ({done}):\n{lines}")


@dataclass(frozen=True)
class Convert:
    """Writes a store with another codec, or from published rays/ and embeddings/ folders."""

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of a store, or one with rays/SCENE/TOKEN.npz and embeddings/NAME/SCENE/TOKEN.npz."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder of the new store."""
    codec: Literal["fp16", "int8", "pca-int8", "pca-int4"] = "int8"
    """How a feature is stored: 2 bytes a channel, 1 byte a channel, 1 byte a component, or half a
    byte a component (the first 8 whole)."""
    components: int = 96
    """Components of the pca codecs, fitted per scene."""
    teacher: str = "maskclip-plus"
    """Published folders only: id of the teacher that made them."""

    def run(self) -> None:
        """Converts and says what is there."""
        from langocc.features.progress import scene_progress
        from langocc.features.published import import_published, is_published
        from langocc.features.recode import recode_store
        from langocc.features.scene_writer import CodecConfig
        from langocc.features.store import open_store

        if self.source.resolve() == self.out.resolve():
            raise ConfigError(f"{self.out}: expected another folder than the source")
        codec = CodecConfig(self.codec, self.components)
        if is_published(self.source):
            frames = sum(1 for _ in (self.source / "rays").glob("*/*.npz"))
            with scene_progress("convert", frames, "key frames") as advance:
                store, report = import_published(
                    self.source, self.out, codec, self.teacher, on_frame=lambda: advance(1)
                )
        else:
            source = open_store(self.source)
            frames = sum(len(source.shard(scene).frames) for scene in source.scenes())
            with scene_progress("convert", frames, "key frames") as advance:
                store, report = recode_store(source, self.out, codec, lambda: advance(1))
        print(report.summary(store.folder, "features"))
        report.raise_failures()


@dataclass(frozen=True)
class Features:
    """Looks into feature stores, verifies and converts them."""

    what: tyro.conf.OmitSubcommandPrefixes[Info | Verify | Convert]
    """What to do."""

    def run(self) -> None:
        """Does it."""
        self.what.run()
