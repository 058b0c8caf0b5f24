"""Compiles every kernel for an H100-class GPU; run by `test_model_kernels_compile`."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from langocc.model import activation_kernels, kernels, norm_kernels
from langocc.model.triton_activation import BLOCK
from langocc.model.triton_ops import GRID_BLOCK, LIFTED, MATCH

NUMBERS = ["D", "H", "W", "cams", "bins", "pixels", "voxels", "points", "count", "rows"]
NUMBERS += ["per_program", "channels", "per_share", "shares"]
METRIC = ["invalid_cost", "last_column", "last_row", "nearest", "behind", "momentum", "eps"]
METRIC += ["lower_x", "lower_y", "lower_z", "edge_x", "edge_y", "edge_z"]
TYPES = {**dict.fromkeys(NUMBERS, "i32"), **dict.fromkeys(METRIC, "fp32")}
TYPES |= {"cells": "*i64", "place": "*i32", "arrivals": "*i32", "batches": "*i64"}
MODULES = (kernels, activation_kernels, norm_kernels)
FLAGS = {"HAS_SHORTCUT": True, "HAS_RELU": True}
KERNELS = {
    "stereo_grid_kernel": {"NUMBERS": 28, "BLOCK": GRID_BLOCK},
    "lifted_cells_kernel": {
        "X": 200,
        "Y": 200,
        "Z": 16,
        "TRUNCATED": True,
        "NUMBERS": 27,
        "BLOCK": GRID_BLOCK,
    },
    "match_kernel": {"IS_WATCHED": True, "BLOCK": GRID_BLOCK},
    "cost_volume_kernel": {"CHANNELS": 256, "CHANNEL_BLOCK": 256, "PIXELS": MATCH["PIXELS"]},
    "shifted_relu_kernel": {"CHANNELS": 256, "HAS_SHORTCUT": True, "BLOCK": BLOCK},
    "shifted_relu_backward_kernel": {"CHANNELS": 256, "CHANNEL_BLOCK": 256, "ROWS": 16},
    "statistics_kernel": {"CHANNEL_BLOCK": 64, "ROWS": 32, "STEPS": 4, "num_warps": 8},
    "normalise_kernel": {"CHANNEL_BLOCK": 64, "ROWS": 64, **FLAGS},
    "gradient_sums_kernel": {
        "CHANNEL_BLOCK": 64,
        "ROWS": 32,
        "STEPS": 2,
        "num_warps": 8,
        **FLAGS,
    },
    "gradient_kernel": {"CHANNEL_BLOCK": 64, "ROWS": 64, "HAS_RELU": True},
    "splat_kernel": {"CHANNELS": 32, "CHANNEL_BLOCK": 32, **LIFTED},
    "splat_backward_kernel": {"CHANNELS": 32, "CHANNEL_BLOCK": 32, **LIFTED},
}

for name, constants in KERNELS.items():
    options = {"num_warps": constants.pop("num_warps", 4)}
    kernel = next(getattr(m, name) for m in MODULES if hasattr(m, name))
    signature = {
        n: "constexpr" if n in constants else TYPES.get(n, "*fp32") for n in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    print(name, len(compiled.asm["ptx"]))
