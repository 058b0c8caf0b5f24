# SPDX-License-Identifier: Apache-2.0
"""Files of one predicted frame for other programs: a page for browsers, meshes for 3D viewers."""

from pathlib import Path

import numpy as np

from langocc.geometry.grid import OCC3D_GRID
from langocc.predictor import ClassQueries, Predictor
from langocc.scenes.occ3d import FREE_ID
from langocc.speaking import Speaker
from langocc.view.colours import class_colours, heat_colours, heat_range
from langocc.view.export_page import Exported, write_export
from langocc.view.frame_files import Shown, query_name
from langocc.view.voxel_faces import write_ply


def remove_exports(folder: Path) -> None:
    """Removes pages and meshes of a frame's folder, which may show something else."""
    for stale in (*folder.glob("*.ply"), *folder.glob("*.html")):
        stale.unlink()


def write_meshes(folder: Path, shown: Shown) -> None:
    """Writes classes.ply and, for each query, query-N-its-words.ply with its heat.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    semantics = shown.semantics
    colours = class_colours(semantics)
    write_ply(folder / "classes.ply", semantics != FREE_ID, colours, OCC3D_GRID)
    for number, (query, scores) in enumerate(shown.answers.items(), 1):
        low, high = heat_range(scores.ravel())
        heat = heat_colours(np.clip((scores - low) / (high - low), 0, 1))
        path = folder / f"{query_name(number, query)}.ply"
        write_ply(path, np.isfinite(scores), heat, shown.field.grid)


def write_frame_page(
    path: Path,
    predictor: Predictor,
    speaker: Speaker,
    classes: ClassQueries,
    shown: Shown,
    threshold: float,
) -> None:
    """Writes a frame's page of one file, with its own queries and the prepared ones.

    Raises:
        ConfigError: too many queries or cameras for a page.
        DataError: an image is missing or damaged.
        OSError: the disk is full or the folder cannot be written.
    """
    facts = {
        "scene": shown.frame.scene,
        "frame": shown.frame.token,
        "checkpoint": f"{predictor.checkpoint['file']}, sha256 "
        f"{str(predictor.checkpoint['sha256'])[:12]}",
        "teacher": speaker.teacher.id,
        "occupied from": f"{threshold:g} per metre",
        "truth": "none" if shown.truth is None else "Occ3D label, also where no camera sees it",
    }
    queries = list(shown.answers)
    exported = Exported(
        shown.frame, shown.field, shown.truth, threshold, queries, facts, shown.difference
    )
    write_export(path, exported, speaker, classes)
