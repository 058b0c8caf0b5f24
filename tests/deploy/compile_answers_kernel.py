"""Compiles the kernel of answers for an H100-class GPU; run by `test_answers`."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from langocc.deploy.triton_answers import TILE, answers_kernel

CONSTANTS = {"HIDDEN": 256, "ROOT": 256, "CLASSES": 76, "SMALLEST": 1e-24}
CONSTANTS |= {name: TILE[name] for name in ("ROWS", "CHUNK")}
TYPES = {
    **dict.fromkeys(["hidden", "root", "class_weight"], "*bf16"),
    "best": "*i64",
    "rows": "i32",
}

names = answers_kernel.arg_names
signature = {n: "constexpr" if n in CONSTANTS else TYPES.get(n, "*fp32") for n in names}
aligned = {(names.index(n),): [["tt.divisibility", 16]] for n in names if n not in CONSTANTS}
source = ASTSource(fn=answers_kernel, signature=signature, constexprs=CONSTANTS, attrs=aligned)
options = {name: TILE[name] for name in ("num_warps", "num_stages")}
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
print("shared", compiled.metadata.shared, "wgmma" if "wgmma" in compiled.asm["ptx"] else "mma")
