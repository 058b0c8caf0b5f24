# SPDX-License-Identifier: Apache-2.0
"""Runs a model that `langocc export` wrote: onnxruntime, NumPy and Pillow, nothing else.

python run_onnx.py model.onnx    (beside it: model.geometry.onnx, model.drive.json)
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def network_input(camera: dict, path: str) -> np.ndarray:
    """An image resized to the input's width; its lower rows are kept."""
    image, (width, height) = Image.open(path), camera["resized_size"]
    if list(image.size) != camera["image_size"]:
        sys.exit(f"{path}: expected {camera['image_size']} pixels, got {list(image.size)}")
    image.draft("RGB", (int(width * 0.9), int(height * 0.9)))
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop(camera["crop_box"]))


def run(session: onnxruntime.InferenceSession, inputs: dict) -> dict:
    """Outputs by name; inputs that the graph does not take are left out."""
    wanted = {entry.name for entry in session.get_inputs()}
    given = {name: value for name, value in inputs.items() if name in wanted}
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


model = Path(sys.argv[1])
providers = onnxruntime.get_available_providers()
step = onnxruntime.InferenceSession(model, providers=providers)
geometry = onnxruntime.InferenceSession(model.with_suffix(".geometry.onnx"), providers=providers)
facts = json.loads(step.get_modelmeta().custom_metadata_map["langocc"])
drive = json.loads(model.with_suffix(".drive.json").read_text())
shapes = {name: shape for name, (_, shape) in facts["inputs"].items()}
past = {f"past_{n[5:]}": np.zeros(shapes[n], np.float32) for n in shapes if n.startswith("past_")}
for index, frame in enumerate(drive):
    shown = [drive[max(index - back, 0)] for back in range(facts["history_frames"] + 1)]
    poses = np.array([[c["global_from_cam"] for c in f["cameras"].values()] for f in shown])
    key_from_cam = np.linalg.inv(frame["global_from_key"]) @ poses[: facts["lifted_frames"]]
    reference_from_cam = np.linalg.inv(poses[min(1, len(poses) - 1)]) @ poses[0]
    moved = {"key_from_cam": key_from_cam, "reference_from_cam": reference_from_cam}
    inputs = run(geometry, {name: value.astype(np.float32) for name, value in moved.items()})
    paths = [camera["image"] for camera in frame["cameras"].values()]
    cut = [network_input(*pair) for pair in zip(facts["cameras"], paths, strict=True)]
    inputs["images"] = np.stack(cut)
    said: dict = {}
    for _ in range(1 if index else 1 + facts["history_frames"]):  # the first is its own past
        said = run(step, inputs | past)
        past = {f"past_{n[5:]}": value for n, value in said.items() if n.startswith("next_")}
    occupied = int((said["density"] >= facts["threshold"]).sum())
    print(f"{frame['token']}: {occupied} of {said['density'].size} voxels occupied")
    np.savez_compressed(f"{frame['token']}.npz", **{n: said[n] for n in facts["outputs"][:2]})
