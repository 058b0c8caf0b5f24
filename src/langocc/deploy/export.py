# SPDX-License-Identifier: Apache-2.0
"""A step as a file that needs nothing of this package: torch.export or ONNX."""

import importlib.util
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram

from langocc.deploy.feeding import Step, Tensors, in_order
from langocc.deploy.geometry_step import GeometryStep, geometry_inputs
from langocc.deploy.step import StreamStep, input_names, output_names
from langocc.errors import ConfigError
from langocc.files import replacing
from langocc.geometry.rig import CameraRig
from langocc.model.langocc import LangOcc

Format = Literal["onnx", "pt2"]
OPSET = 20
"""ONNX operator set: the first whose GridSample takes volumes, too; runtimes of 2024 know it."""
FACTS = "langocc"
"""Name of the JSON that goes with an ONNX file; in a .pt2 it is `langocc.json`."""


def eager(step: StreamStep) -> Step:
    """The step itself."""
    config = step.model.config

    @torch.no_grad()
    def run(inputs: Tensors) -> Tensors:
        return _named(step, step(*in_order(config, inputs)))

    return run


def exported_program(step: StreamStep, inputs: Tensors) -> ExportedProgram:
    """The step's graph, for inputs of these shapes."""
    with torch.no_grad():
        return torch.export.export(step.eval(), in_order(step.model.config, inputs))


def write_pt2(program: ExportedProgram, path: Path, facts: Mapping[str, Any]) -> None:
    """Writes a .pt2 archive, whole or not at all."""
    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files={f"{FACTS}.json": json.dumps(facts)})
    with replacing(path) as temporary:
        temporary.write_bytes(archive.getbuffer())


def read_pt2(path: Path, step: StreamStep) -> Step:
    """The step of a .pt2 archive, run by torch."""
    module = torch.export.load(path).module()

    @torch.no_grad()
    def run(inputs: Tensors) -> Tensors:
        return _named(step, module(*in_order(step.model.config, inputs)))

    return run


def write_onnx(
    program: ExportedProgram,
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    facts: Mapping[str, Any],
) -> dict[str, int]:
    """Writes an ONNX file, whole or not at all; returns how often each operator occurs.

    Args:
        program: The graph.
        path: File to write.
        inputs: Names of its arguments.
        outputs: Names of its results.
        facts: Go along as JSON, in the metadata `langocc`.

    Raises:
        ConfigError: onnx or onnxscript is not installed, or the graph would need an operator that
            is not among ONNX's own.
    """
    need("onnx", "onnxscript")
    import onnx

    with _quiet("torch.onnx._internal.exporter", "onnxscript"):
        converted = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
        )
    assert converted is not None
    model = converted.model_proto
    foreign = sorted(
        {node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if foreign or len(model.opset_import) > 1:
        raise ConfigError(f"{path}: expected ONNX's own operators, got others: {foreign}")
    onnx.helper.set_model_props(model, {FACTS: json.dumps(facts)})
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return dict(Counter(node.op_type for node in model.graph.node).most_common())


def read_onnx(path: Path, threads: int | None = None) -> Step:
    """The graph of an ONNX file, run by onnxruntime on the processor.

    Inputs that the graph does not take are left out.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {entry.name for entry in session.get_inputs()}

    def run(inputs: Tensors) -> Tensors:
        given = {name: tensor.numpy() for name, tensor in inputs.items() if name in wanted}
        arrays = session.run(names, given)
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}

    return run


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Without the converter's remarks on operators of packages that are not installed."""
    logs = [logging.getLogger(name) for name in loggers]
    levels = [log.level for log in logs]
    try:
        for log in logs:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def need(*packages: str) -> None:
    """Says how to install what is missing.

    Raises:
        ConfigError: one of the packages is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)}: not installed; pip install 'langocc[export]' brings what "
            "exporting to ONNX needs"
        )


def _named(step: StreamStep, results: tuple[Tensor, ...]) -> Tensors:
    names = output_names(step.model.config, step.answers)
    return dict(zip(names, results, strict=True))


def write_geometry(model: LangOcc, rig: CameraRig, path: Path) -> None:
    """Writes the ONNX graph that makes a step's geometry from poses, for a fixed rig."""
    step, config = GeometryStep(model, rig).eval(), model.config
    cams = rig.intrinsics.shape[2]
    poses = [torch.eye(4, dtype=torch.float64).expand(cams, 4, 4)] * config.input_frames
    inputs = geometry_inputs(model, poses, torch.eye(4, dtype=torch.float64))
    with torch.no_grad():
        program = torch.export.export(step, tuple(inputs.values()))
    outputs = [name for name in input_names(config) if name in ("numbers", "cells", "places")]
    write_onnx(program, path, list(inputs), outputs, {})
