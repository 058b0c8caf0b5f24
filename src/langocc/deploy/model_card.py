# SPDX-License-Identifier: Apache-2.0
"""A model's card: what it is, how it started, who taught it, what was measured."""

import json
from collections.abc import Mapping
from typing import Any

from langocc.render.objective import LossConfig

HEADER = """---
library_name: langocc
license: {license}
tags: [occupancy, open-vocabulary, autonomous-driving, clip]
---
"""

LICENCE = "The licence of the weights follows from the data and the teacher."

USE = """## Use

```python
import langocc

model = langocc.from_pretrained("this folder")
dataset = langocc.open_dataset("data root")
frame = next(dataset.frames("val"))
answer = model.predict(frame, "yellow crane")
```
"""


def model_card(record: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Markdown with Hugging Face's header. What is not known is said to be unknown.

    Args:
        record: As `train.pretrained.write_pretrained` takes it.
        scores: Numbers by name, or by what was measured and name.
    """
    config, facts, origin = record["config"], record["facts"], record["checkpoint"]
    network = config["model"]
    height, width = network["input_size"]
    rays = facts.get("rays")
    licence = record.get("license", "other")
    source = rays.get("source") if isinstance(rays, Mapping) else rays
    lines = {
        "Preset": facts.get("preset"),
        "Variant": network["variant"],
        "Input": f"{width} x {height} pixels a camera, {1 + network['history_frames']} frames",
        "Grid": _grid(network["grid"]),
        "Initialisation": facts.get("initial", config["initial"]),
        "Teacher": facts.get("teacher"),
        "Rays": source,
        "Taught by": _taught_by(config),
        "Trained on": _trained_on(facts),
        "Steps": record["step"],
        "Quirks": ", ".join(n for n, on in network["quirks"].items() if on) or "none",
        "Checkpoint": f"{origin.get('file')}, SHA-256 {origin.get('sha256') or 'unknown'}",
        "Stored as": "float16, vectors float32" if record.get("half") else "float32",
        "Written by": ", ".join(f"{k} {v}" for k, v in record["software"].items() if v),
    }
    table = "".join(f"| {name} | {value or 'unknown'} |\n" for name, value in lines.items())
    return (
        f"{HEADER.format(license=licence)}\n"
        f"# LangOcc, {facts.get('preset') or network['variant']}\n\n"
        "Open-vocabulary occupancy from camera images: density and features, comparable with text, "
        f"in voxels around a vehicle.\n\n| | |\n|---|---|\n{table}\n"
        f"## Numbers\n\n{_numbers(scores)}\n{USE}\n"
        "Answers to text need the text encoder of the teacher named above. Weights are averaged "
        f"over training. {LICENCE if licence == 'other' else f'Licence: {licence}.'}\n"
    )


def _taught_by(config: Mapping[str, Any]) -> str:
    loss = LossConfig(**{**config["loss"], "movable_classes": ()})
    more = {
        "ranges that a LiDAR measured": loss.uses_ranges,
        "what a vocabulary calls them": loss.needs_vocabulary,
    }
    used = [name for name, is_used in more.items() if is_used]
    return " and ".join(["features", *used]) if used else "features alone"


def _grid(grid: Mapping[str, Any]) -> str:
    edge, height = grid["cell_m"], grid.get("cell_height_m")
    cells = f"{edge} m" if height in (None, edge) else f"{edge} x {edge} x {height} m"
    return f"cells of {cells}, {grid['lower_m']} to {grid['upper_m']} m"


def _trained_on(facts: Mapping[str, Any]) -> str | None:
    if "root" not in facts:
        return None
    return f"{facts['root']}: {facts.get('frames', '?')} frames, {facts.get('scenes', '?')} scenes"


def _numbers(scores: Mapping[str, Any]) -> str:
    if not scores:
        return "None were measured for this folder.\n"
    rows = {n: v if isinstance(v, Mapping) else {n: v} for n, v in scores.items()}
    text = "| what | measure | value |\n|---|---|---|\n"
    for what, numbers in rows.items():
        for name, value in numbers.items():
            shown = f"{value:.2f}" if isinstance(value, float) else json.dumps(value)
            text += f"| {what} | {name} | {shown} |\n"
    return text
