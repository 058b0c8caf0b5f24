# SPDX-License-Identifier: Apache-2.0
"""Functions that are CUDA graphs on a GPU: launched at once, without the host waiting."""

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
WARM_UPS = 3
"""Runs before a graph is recorded: kernels are compiled and the fastest are chosen."""


class Recorded:
    """A function of tensors of fixed shapes: recorded on a GPU when first called, then replayed.

    Results are overwritten by the next call. Inputs may lie on the processor: the host waits
    neither for their copies nor for what the GPU does before it. On a processor the function is
    simply called.
    """

    def __init__(self, function: Callable[..., Tensors], device: torch.device) -> None:
        """Nothing is recorded yet."""
        self.function, self.device = function, device
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensors = ()
        self.outputs: Tensors = ()

    def __call__(self, *inputs: Tensor) -> Tensors:
        """Results of these inputs; ValueError if their shapes differ from the first call's."""
        if self.device.type != "cuda":
            return self.function(*inputs)
        if self.graph is None:
            self._record(inputs)
        shapes = [[tuple(tensor.shape) for tensor in given] for given in (self.inputs, inputs)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"engine: made for shapes {shapes[0]}, got {shapes[1]}")
        for mine, given in zip(self.inputs, inputs, strict=True):
            # Pinned memory is given to another only after the copy, and once made it is reused.
            mine.copy_(given if given.is_cuda else given.pin_memory(), non_blocking=True)
        assert self.graph is not None
        self.graph.replay()
        return self.outputs

    def _record(self, inputs: Tensors) -> None:
        self.inputs = tuple(tensor.to(self.device, copy=True) for tensor in inputs)
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        searched = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    self.function(*self.inputs)
            torch.cuda.current_stream(self.device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.outputs = self.function(*self.inputs)
        finally:
            torch.backends.cudnn.benchmark = searched
        self.graph = graph
