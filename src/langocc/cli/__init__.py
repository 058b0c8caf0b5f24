# SPDX-License-Identifier: Apache-2.0
"""The one command. A verb is a frozen dataclass with a `run` method, one file each."""

import importlib
import os
import sys
from collections.abc import Sequence

from langocc.errors import LangOccError

VERBS = {
    "demo": ("langocc.cli.demo:Demo", "from nothing to an answer, on a small city"),
    "check": ("langocc.cli.check:Check", "what a data root holds, and which verbs it allows"),
    "check-rig": ("langocc.cli.check_rig:CheckRig", "your own cameras: numbers and a picture"),
    "import-rig": ("langocc.cli.import_rig:ImportRig", "a rig manifest of nerfstudio's cameras"),
    "city": ("langocc.cli.city:City", "write the procedural city"),
    "prepare": ("langocc.cli.prepare:Prepare", "index key frames and choose their rays"),
    "extract": ("langocc.cli.extract:Extract", "write the teacher's features of all rays"),
    "features": ("langocc.cli.features:Features", "inspect, verify and convert feature stores"),
    "vocab": ("langocc.cli.vocab:Vocab", "look at prompts as the teacher sees them"),
    "reduce": ("langocc.cli.reduce:Reduce", "train the reducer of a vocabulary"),
    "train": ("langocc.cli.train:Train", "train a model; resumes where it stopped"),
    "calibrate": (
        "langocc.cli.calibrate:Calibrate",
        "from which density a voxel is occupied: found on LiDAR sweeps",
    ),
    "predict": ("langocc.cli.predict:Predict", "occupancy, pictures and answers to text"),
    "evaluate": ("langocc.cli.evaluate:Evaluate", "occupancy, ray IoU and retrieval scores"),
    "render": ("langocc.cli.render:Render", "a film over a scene: GIF or mp4"),
    "view": ("langocc.cli.view:View", "a live page with a text box"),
    "export": ("langocc.cli.export:Export", "a graph for ONNX runtimes or torch.export"),
    "convert": ("langocc.cli.convert:Convert", "published checkpoints to ours and back"),
}
"""Verb -> where its dataclass lives, and a line on it. Modules are loaded only when asked for."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one verb and exits with 0, 1 (an error the user can mend), 2 (usage) or 130 (Ctrl-C)."""
    raise SystemExit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Parses and runs one verb; returns the exit code."""
    import tyro

    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    verb = arguments[0]
    if verb not in VERBS:
        print(f"langocc: no verb {verb!r}; there are: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    module, name = VERBS[verb][0].split(":")
    command_class = getattr(importlib.import_module(module), name)
    try:
        if hasattr(command_class, "parse"):  # a verb whose defaults depend on its own arguments
            command = command_class.parse(arguments[1:])
        else:
            command = tyro.cli(command_class, prog=f"langocc {verb}", args=arguments[1:])
        command.run()
    except LangOccError as error:
        print(f"langocc {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"langocc {verb}: interrupted; finished parts are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `langocc ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"langocc {verb}: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _overview() -> str:
    lines = ["usage: langocc VERB ...   (langocc VERB --help explains one)", ""]
    lines += [f"  {verb:10s} {summary}" for verb, (_, summary) in VERBS.items()]
    return "\n".join(lines)
