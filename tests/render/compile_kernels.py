"""Compiles every kernel for an H100-class GPU; needs no GPU. Run by `test_kernels_compile`."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from langocc.render import ray_kernels, row_kernels

TABLES = {
    **dict.fromkeys(["rows", "seen", "d_seen", "d_rows", "product", "scaled", "table"], "*bf16"),
    **dict.fromkeys(["cells", "voxel", "runs", "row_of_voxel"], "*i32"),
    **dict.fromkeys(["visits", "cursor", "ray_of", "begin"], "*i32"),
    "touched": "*i64",
    "index": "*i64",
    "keeps": "*i8",
    **dict.fromkeys(["rays", "count", "X", "Y", "Z"], "i32"),
    **dict.fromkeys(["near", "far", "lx", "ly", "lz", "sx", "sy", "sz"], "fp32"),
}
CONSTANTS = {
    "PROPOSALS": 50,
    "SAMPLES": 100,
    "TAKES": True,
    "PROPOSAL_BLOCK": 64,
    "SAMPLE_BLOCK": 128,
    "SLOTS": 800,
    "SLOT_BLOCK": 1024,
    "BLOCK": 16,
    "STEPS": 32,
    "CHANNELS": 256,
    "CHANNEL_BLOCK": 256,
}

KERNELS = {**vars(ray_kernels), **vars(row_kernels)}
for name, kernel in KERNELS.items():
    if name.endswith("_kernel"):
        constants = {n: CONSTANTS[n] for n in kernel.arg_names if n in CONSTANTS}
        signature = {
            n: "constexpr" if n in constants else TABLES.get(n, "*fp32") for n in kernel.arg_names
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        print(name, len(compiled.asm["ptx"]))
