"""Compiles the kernel of sums for an H100-class GPU; run by `test_sums`."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from langocc.deploy.triton_sums import DEPTH, TILE, sum_relu_kernel

CONSTANTS = {"WIDTH": 256, "OUT": 1024, "DEPTH": DEPTH}
CONSTANTS |= {name: TILE[name] for name in ("ROWS", "COLUMNS")}
TYPES = {**dict.fromkeys(["x", "weight", "shortcut", "out"], "*bf16"), "rows": "i32"}

names = sum_relu_kernel.arg_names
signature = {n: "constexpr" if n in CONSTANTS else TYPES.get(n, "*fp32") for n in names}
aligned = {(names.index(n),): [["tt.divisibility", 16]] for n in names if n not in CONSTANTS}
source = ASTSource(fn=sum_relu_kernel, signature=signature, constexprs=CONSTANTS, attrs=aligned)
options = {name: TILE[name] for name in ("num_warps", "num_stages")}
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
print("shared", compiled.metadata.shared, "wgmma" if "wgmma" in compiled.asm["ptx"] else "mma")
