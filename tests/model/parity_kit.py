"""The network run on the recorded inputs: every recorded array's counterpart, by `file:array`."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langocc.field import VoxelField
from langocc.geometry.rig import CameraRig
from langocc.interop.checkpoints_published import from_published
from langocc.model.classes import Candidates, candidates, nearest_class, occupancy
from langocc.model.config import ModelConfig
from langocc.model.langocc import LangOcc
from langocc.model.projection import (
    camera_numbers,
    frustum,
    key_from_cam,
    lifted_points_m,
    reference_from_cam,
    stereo_grid,
)
from langocc.presets import MODELS

FRAMES = {"key": 0, "prev": 1, "t2": 2}
Arrays = dict[str, Tensor]


def recipe(parity_dir: Path) -> ModuleType:
    """The recording's own generator of weights and images."""
    spec = importlib.util.spec_from_file_location("gen_inputs", parity_dir / "gen_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded_weights(parity_dir: Path, preset: str) -> Arrays:
    """The recipe's state dict of a published network, under its names."""
    keys = json.loads((parity_dir / "keys.json").read_text())[preset]
    names = {name for name, _, _ in keys}
    weight = recipe(parity_dir).weight
    return {
        name: torch.from_numpy(np.asarray(weight(name, tuple(shape), names, dtype == "int64")))
        for name, shape, dtype in keys
    }


def recorded_network(parity_dir: Path, preset: str) -> LangOcc:
    """A network with the recipe's weights, in evaluation mode."""
    model = LangOcc(MODELS[preset])
    weights = recorded_weights(parity_dir, preset)
    variant = model.config.variant
    model.load_state_dict(from_published(weights, model.state_dict(), variant, "gen_inputs.py"))
    return model.eval()


def recorded_inputs(parity_dir: Path) -> tuple[Tensor, CameraRig]:
    """Images and rig of `inputs.npz`."""
    inputs = np.load(parity_dir / "inputs.npz")
    camera_major = recipe(parity_dir).images().reshape(1, 6, 3, 3, 256, 704)

    def by_frame(name: str) -> Tensor:
        array = inputs[name].astype(np.float64)
        return torch.from_numpy(array.reshape(1, 3, 6, *array.shape[2:]))

    input_from_image = by_frame("post_rots")[:, 0].clone()
    input_from_image[..., :2, 2] = by_frame("post_trans")[:, 0, :, :2]
    rig = CameraRig(
        intrinsics=by_frame("intrins"),
        ego_from_cam=by_frame("sensor2egos"),
        global_from_ego=by_frame("ego2globals"),
        input_from_image=input_from_image,
        augmented_from_ego=torch.from_numpy(inputs["bda"].astype(np.float64)),
    )
    return torch.from_numpy(np.ascontiguousarray(camera_major.swapaxes(1, 2))), rig


@torch.no_grad()
def run_networks(parity_dir: Path) -> dict[str, np.ndarray]:
    """One forward pass of `full`, the head of `reduced` on its features, and classes."""
    model = recorded_network(parity_dir, "full")
    images, rig = recorded_inputs(parity_dir)
    arrays: Arrays = {}
    _watch(model, arrays)
    field = model(images, rig)
    arrays |= geometry(rig, model.config) | voxel_ranks(rig, model) | _decoded(model, field)
    arrays |= _occupancy(parity_dir, field) | _reduced(parity_dir, field) | _classes(parity_dir)
    return {name: tensor.numpy() for name, tensor in arrays.items()}


def _watch(model: LangOcc, arrays: Arrays) -> None:
    """Keeps the strided outputs of each part; parts see the oldest frame first."""

    def keep(
        part: torch.nn.Module, passes: str, kept: dict[str, tuple[Callable, tuple[int, ...]]]
    ) -> None:
        left = passes.split()

        def hook(_: object, inputs: tuple, output: object) -> None:
            current = left.pop(0)
            for name, (pick, strides) in kept.items():
                if current in ("only", name.split(":")[1].split("_")[0]):
                    steps = tuple(slice(None, None, stride) for stride in strides)
                    arrays[name] = pick(inputs, output)[steps].clone()

        part.register_forward_hook(hook)

    def out(_: tuple, output: Tensor) -> Tensor:
        return output

    def out_zyx(_: tuple, output: Tensor) -> Tensor:
        return output.transpose(2, 4)

    def given_zyx(inputs: tuple, _: object) -> Tensor:
        return inputs[0].transpose(2, 4)

    def cost(inputs: tuple, _: object) -> Tensor:
        return inputs[2]

    backbone, depth = model.backbone, model.depth_net
    file = "stage_backbone:"
    keep(
        backbone.layer1[-1],
        "t2 prev key",
        {
            file + "key_c2_sub": (out, (1, 16, 4, 8)),
            file + "t2_stereo_sub": (out, (1, 32, 4, 8)),
            file + "prev_stereo_sub": (out, (1, 32, 4, 8)),
        },
    )
    layer3 = {
        file + "key_c4_sub": (out, (1, 32, 2, 4)),
        file + "prev_c4_sub": (out, (1, 64, 4, 4)),
    }
    keep(backbone.layer3[-1], "prev key", layer3)
    keep(backbone.layer4[-1], "prev key", {file + "key_c5_sub": (out, (1, 64, 1, 2))})
    neck = {
        file + "key_fpn_sub": (out, (1, 8, 2, 2)),
        file + "prev_fpn_sub": (out, (1, 16, 2, 4)),
        file + "key_fpn_cam1": (lambda _, output: output[1], (1, 1, 1)),
    }
    keep(model.neck, "prev key", neck)
    file = "stage_depth:"
    keep(
        depth,
        "prev key",
        {
            file + "key_cost_volume_sub": (cost, (1, 8, 8, 8)),
            file + "prev_cost_volume_sub": (cost, (1, 8, 8, 8)),
            file + "key_cost_volume_cam1_sub": (lambda given, _: given[2][1], (2, 4, 4)),
            file + "key_depth_softmax": (lambda _, output: output.depth, (1, 1, 1, 1)),
            file + "prev_depth_softmax_sub": (lambda _, output: output.depth, (1, 4, 2, 2)),
            file + "key_context": (lambda _, output: output.context, (1, 1, 1, 1)),
            file + "prev_context_sub": (lambda _, output: output.context, (1, 4, 2, 2)),
        },
    )
    keep(depth.logits, "prev key", {file + "key_depth_logits_sub": (out, (1, 4, 2, 2))})
    file = "stage_voxel:"
    keep(
        model.pre_process,
        "prev key",
        {
            file + "key_pooled_sub": (given_zyx, (1, 4, 2, 4, 4)),
            file + "prev_pooled_sub": (given_zyx, (1, 8, 2, 4, 4)),
            file + "key_pooled_sum_c": (lambda g, _: g[0].double().sum((0, 2, 3, 4)), (1,)),
            file + "key_pooled_sum_z": (lambda g, _: g[0].double().sum((0, 1, 2, 3)), (1,)),
            file + "key_preprocess_sub": (out_zyx, (1, 8, 2, 4, 4)),
            file + "prev_preprocess_sub": (out_zyx, (1, 8, 4, 8, 8)),
        },
    )
    file = "stage_bev:"
    for level, strides in enumerate([(1, 8, 2, 8, 8), (1, 8, 2, 4, 4), (1, 8, 1, 4, 4)]):
        kept = {f"{file}bevbb{level}_sub": (out_zyx, strides)}
        keep(model.encoder.stages[level], "only", kept)
    keep(model.pyramid, "only", {file + "bev_out_sub": (out_zyx, (1, 4, 2, 4, 4))})


def geometry(rig: CameraRig, config: ModelConfig) -> Arrays:
    """Transforms, camera numbers and pixel maps."""
    quirks, size = config.quirks, config.input_size
    fine, coarse = frustum(size, 4, config.depth), frustum(size, 16, config.depth)
    found = {
        "sensor2keyegos": torch.stack([key_from_cam(rig, f, quirks) for f in range(3)]).float(),
        "curr2adjsensor": torch.stack([reference_from_cam(rig, f, f + 1) for f in (0, 1)]).float(),
        "frustum_sub": coarse[:, ::8, ::4, ::4].movedim(0, -1),
        "cv_frustum_sub": fine[:, ::8, ::8, ::8].movedim(0, -1),
    }
    for name, frame in FRAMES.items():
        found[f"mlp_input_{name}"] = camera_numbers(rig, frame, quirks)
    for name, step in (("key", 8), ("prev", 16)):
        points_m = lifted_points_m(rig, FRAMES[name], coarse, quirks)
        found[f"lidar_coor_{name}_sub"] = points_m[:, :, ::8, ::4, ::4]
        grid = stereo_grid(rig, FRAMES[name], fine, size)[0]
        found[f"stereo_grid_{name}_sub"] = grid[:, ::8, ::step, ::step]
    return {f"stage_geometry:{name}": tensor for name, tensor in found.items()}


def voxel_ranks(rig: CameraRig, model: LangOcc) -> Arrays:
    """How many points of the frustums fall into which voxel."""
    found = {}
    x_cells, y_cells, z_cells = model.config.grid.shape
    for name in ("key", "prev"):
        cells = model.voxels_of_points(rig, FRAMES[name]).flatten()
        kept = torch.where(cells >= 0)[0]
        counts = cells[kept].bincount(minlength=x_cells * y_cells * z_cells)
        numbers = [len(cells), len(kept), int((counts > 0).sum()), int(counts.max())]
        found[f"{name}_num"] = torch.tensor(numbers)
        counts_xyz = counts.view(x_cells, y_cells, z_cells)
        found[f"{name}_points_per_voxel_zyx"] = counts_xyz.permute(2, 1, 0)
        found[f"{name}_sum_ranks_depth_total"] = kept.sum()[None]
    return {f"stage_ranks:{name}": tensor for name, tensor in found.items()}


def _decoded(model: LangOcc, field: VoxelField) -> Arrays:
    raw = model.head(field.features[:, ::20, ::20, ::4])
    norms = model.head(field.features[:, ::4, ::4, ::2]).norm(dim=-1, keepdim=True)
    features_zyx = field.features.permute(0, 4, 3, 2, 1)
    return {
        "stage_decoder:final_conv_sub": features_zyx[:, ::8, ::4, ::8, ::8],
        "stage_decoder:density_sub": field.density[:, ::2, ::2, :, None],
        "stage_decoder:language_unit_sub": normalize(raw, dim=-1),
        "stage_decoder:language_raw_norm_sub": norms,
    }


def _occupancy(parity_dir: Path, field: VoxelField) -> Arrays:
    """What the prompts say of the field."""
    inference, classes = (np.load(parity_dir / f"{n}.npz") for n in ("inference", "classes"))
    prompts = torch.from_numpy(recipe(parity_dir).class_embeddings(76, 7))
    free = (field.density < 0.1).numpy()
    assert free.shape == tuple(inference["free_space_shape"])
    among = candidates(prompts, _occ3d_ids(classes, 1))
    return {
        "inference:class_embeddings": prompts,
        # Recorded before free space is cut out: every voxel has the class of its best prompt.
        "inference:occupancy": occupancy(field, among, threshold=0.0),
        "inference:free_space_packed": torch.from_numpy(np.packbits(free)),
        "inference:free_space_shape": torch.tensor(free.shape),
    }


def _reduced(parity_dir: Path, field: VoxelField) -> Arrays:
    """The reduced network shares the trunk: its head and its reducer."""
    model = recorded_network(parity_dir, "reduced")
    assert model.reducer is not None
    prompts = torch.from_numpy(recipe(parity_dir).class_embeddings(76, 7))
    targets = torch.from_numpy(np.load(parity_dir / "inputs.npz")["lang_ray_dataset"][..., 8:520])
    raw = model.head(field.features[:, ::20, ::20, ::4])
    return {
        "reduced:language_unit_sub": normalize(raw, dim=-1),
        "reduced:class_embeddings_reduced": model.reducer.reduce(prompts),
        "reduced:rays_embedding_reduced_half": model.reducer.reduce(targets.float()).half(),
    }


def _classes(parity_dir: Path) -> Arrays:
    """The class decision alone, with its options."""
    recorded = np.load(parity_dir / "classes.npz")
    features = torch.from_numpy(recorded["preds"])
    found = {}
    for weighting in ("w1", "wrand"):
        for averaged in (0, 1):
            for vocabularies in ((1,), (1, 2)):
                name = f"classes_{weighting}_avg{averaged}_v{''.join(map(str, vocabularies))}"
                answers = [
                    nearest_class(features, _candidates(recorded, v, weighting, bool(averaged)))
                    for v in vocabularies
                ]
                found[f"classes:{name}"] = torch.stack(answers)
    return found


def _candidates(
    recorded: np.lib.npyio.NpzFile, vocabulary: int, weighting: str, averaged: bool
) -> Candidates:
    vectors = torch.from_numpy(recorded[f"embeddings_v{vocabulary}"])
    weights = None
    if weighting == "wrand":
        place = recorded[f"vocab_v{vocabulary}_class_of_text"]
        weights = torch.from_numpy(recorded["class_weights"][place, 1])
    ids = _occ3d_ids(recorded, vocabulary)
    return candidates(vectors, ids, weights, averaged=averaged)


def _occ3d_ids(classes: np.lib.npyio.NpzFile, vocabulary: int) -> Tensor:
    return torch.from_numpy(
        classes["nusc_v1_to_class_map"][classes[f"vocab_v{vocabulary}_class_of_text"]]
    )
