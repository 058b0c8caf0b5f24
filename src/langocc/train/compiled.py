# SPDX-License-Identifier: Apache-2.0
"""The network's stages through torch's compiler."""

from langocc.model.langocc import LangOcc

STAGES = ("backbone", "neck", "depth_net", "pre_process", "encoder", "pyramid", "final_conv")
"""Parts whose shapes are the same at every step. What depends on poses and rays stays as it is."""


def compile_stages(model: LangOcc) -> None:
    """Compiles the stages in place, each when it first runs: about a minute in all.

    Norms and activations then run as one kernel with what stands around them. Names of weights
    do not change, so checkpoints of compiled and plain runs are the same.
    """
    for name in STAGES:
        getattr(model, name).compile(dynamic=False)
