# SPDX-License-Identifier: Apache-2.0
"""`langocc check`: what a data root holds, what is missing, what can be done with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from langocc.cli.abilities import Ability
    from langocc.scenes.inventory import Inventory
    from langocc.scenes.nuscenes import NuScenes
    from langocc.scenes.roots import DataRoot


@dataclass(frozen=True)
class Check:
    """Prints what a data root holds, what is missing, which verbs it allows, and their disk."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root: the nuScenes folder, or ROOT/{nuscenes, gts, retrieval_benchmark}."""
    version: str | None = None
    """Only this version (v1.0-mini, v1.0-trainval, v1.0-test); default: all that are there."""
    work: Path | None = None
    """Folder for the index; default ROOT/langocc."""
    images: bool = False
    """Decode every image and read every sweep: slow, finds damaged files."""

    def run(self) -> None:
        """Prints, and fails if anything is damaged or nothing can be used.

        Raises:
            DataError: damaged records or files (all are printed first), or no usable key frame.
        """
        from rich.console import Console

        from langocc.errors import ConfigError, DataError
        from langocc.scenes.manifest import find_manifest
        from langocc.scenes.roots import find_root

        if manifest := find_manifest(self.root):
            raise ConfigError(f"{manifest}: a rig manifest; `langocc check-rig` checks those")
        console = Console()
        folders = find_root(self.root, self.work)
        versions = [self.version] if self.version else folders.versions
        _print_folders(console, folders)
        damage = [line for version in versions for line in self._check(console, version)]
        if damage:
            listed = "".join(f"\n  {line}" for line in damage)
            raise DataError(f"{self.root}: {len(damage)} faults; what is not damaged works{listed}")

    def _check(self, console: "Console", version: str) -> list[str]:
        """Prints one version; returns what is damaged."""
        from langocc.cli.abilities import abilities
        from langocc.errors import DataError
        from langocc.evaluate.benchmark import read_rows
        from langocc.scenes.inventory import damaged_files, take_inventory
        from langocc.scenes.nuscenes import load

        dataset = load(self.root, version=version, work=self.work, present_only=False)
        found = take_inventory(dataset)
        damage = _dropped(dataset)
        rows = []
        if dataset.folders.retrieval is not None:
            try:
                rows = read_rows(dataset.folders.retrieval)
            except DataError as error:
                damage.append(str(error))
        _print_parts(console, dataset, found)
        _print_missing(console, dataset)
        _print_abilities(console, abilities(dataset, found, rows), _free(dataset.folders.work))
        if not found.has_images.any():
            damage.append(f"{dataset.folders.nuscenes}: no key frame of {version} has its images")
        elif self.images:
            damage += damaged_files(load(self.root, version=version, work=self.work))
        return damage


def _dropped(dataset: "NuScenes") -> list[str]:
    """Records that cost key frames."""
    lines = []
    for what, tokens in dataset.index.dropped.items():
        table, _, fault = what.partition(":")
        path = dataset.folders.nuscenes / dataset.version / table
        more = ", ..." if len(tokens) > 3 else ""
        names = ", ".join(tokens[:3]) + more
        lines.append(f"{path}:{fault}: {len(tokens)} key frames left out ({names})")
    return lines


def _print_folders(console: "Console", folders: "DataRoot") -> None:
    console.print(f"nuScenes   {folders.nuscenes}  ({', '.join(folders.versions)})")
    console.print(f"Occ3D      {folders.gts or 'none'}")
    console.print(f"retrieval  {folders.retrieval or 'none'}")
    console.print(f"work       {folders.work}  ({_size(_free(folders.work))} free)")


def _print_parts(console: "Console", dataset: "NuScenes", found: "Inventory") -> None:
    from rich.table import Table

    index, all_frames = dataset.index, len(dataset.index.tokens)
    splits = ", ".join(f"{split} {keys.sum():,}" for split, keys in found.in_split.items())
    console.print(
        f"\n{dataset.version}: scenes {len(index.scenes):,}, key frames {all_frames:,} ({splits})"
    )
    table = Table("per key frame", "there", "missing", "comes with")
    for column, channel in enumerate(index.channels):
        _add_part(table, channel, dataset.is_present[:, column], "nuScenes' blobs")
    _add_part(table, "all images", found.has_images, "")
    if index.has_lidar:
        _add_part(table, "lidarseg", found.has_lidarseg, "nuScenes-lidarseg (no verb needs it)")
        _add_part(table, "panoptic", found.has_panoptic, "Panoptic nuScenes (no verb needs it)")
    _add_part(table, "Occ3D label", found.has_occ3d, "Occ3D-nuScenes' gts")
    console.print(table)


def _add_part(table: "Table", name: str, has: "np.ndarray", source: str) -> None:
    there, missing = int(has.sum()), int((~has).sum())
    table.add_row(name, f"{there:,}", f"{missing:,}" if missing else "-", source if missing else "")


def _print_missing(console: "Console", dataset: "NuScenes") -> None:
    """Archives, or drives, that are not complete."""
    from rich.table import Table

    from langocc.scenes.blobs import groups

    table = Table("not complete", "scenes", "usable key frames", "files missing")
    for group in groups(dataset):
        if group.missing:
            scenes = group.scenes[0]
            if len(group.scenes) > 1:
                scenes += f" ... {group.scenes[-1]} ({len(group.scenes)})"
            missing = ", ".join(f"{channel} {count:,}" for channel, count in group.missing.items())
            table.add_row(group.name, scenes, f"{group.usable:,} of {group.key_frames:,}", missing)
    if table.row_count:
        console.print(table)


def _print_abilities(console: "Console", found: "Sequence[Ability]", free: int) -> None:
    """Verbs with the disk they take and what they cannot do here."""
    from rich.table import Table

    table = Table("verb", "key frames", "disk it takes, and what it cannot do here")
    for ability in found:
        lines = [f"- {limit}" for limit in ability.limits]
        if ability.disk_bytes:
            lines.insert(0, f"{_size(ability.disk_bytes)} = {ability.formula}")
        if ability.disk_bytes > free:
            lines.append(f"- the disk has {_size(free)} free")
        frames = f"{ability.frames:,}" if ability.frames else "[red]none[/red]"
        table.add_row(ability.verb, frames, "\n".join(lines))
    console.print(table)


def _free(folder: Path) -> int:
    """Free bytes where a folder is or would be."""
    import shutil

    folder = folder.absolute()
    return shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free


def _size(count: int) -> str:
    """Bytes in decimal units."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
