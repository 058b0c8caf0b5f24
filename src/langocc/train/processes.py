# SPDX-License-Identifier: Apache-2.0
"""The processes of a run, as `torchrun` starts them: what each trains on and what they share.

How gradients are averaged is in `overlap`.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from langocc.errors import ConfigError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others in a collective before the run ends with an error."""


@dataclass(frozen=True)
class Processes:
    """All processes of the run, seen from one of them. Without `torchrun`: one.

    Every method but `share` is a collective: all processes must call it, in the same order.

    Attributes:
        rank: Number of this process.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of a step's samples: in order, an equal number for each process.

        Example:
            >>> Processes(rank=1, count=2).share([4, 0, 3, 5])
            [3, 5]
        """
        size = len(items) // self.count
        return list(items[self.rank * size : (self.rank + 1) * size])

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Sets each tensor (float32) to its mean over processes, by one all-reduce. No gradient."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = (flat / self.count).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view(tensor.shape))

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a float tensor over processes. No gradient."""
        value = value.detach().clone()
        self.average_([value])
        return value

    def any(self, claim: bool) -> bool:
        """Whether any process says so."""
        if self.count == 1:
            return claim
        said = torch.tensor([float(claim)])
        dist.all_reduce(said)  # on the processor: it does not wait for a GPU
        return bool(said)

    def of_first(self, value: T) -> T:
        """What the first process holds."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held)
        return held[0]

    def of_all(self, value: T) -> list[T]:
        """What each process holds."""
        held = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(held, value)
        return held

    def copy_first_(self, tensors: Sequence[Tensor]) -> None:
        """Sets each tensor to the first process's."""
        if self.count > 1:
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, 0)
                tensor.detach().copy_(whole)


@contextmanager
def joined() -> Iterator[Processes]:
    """Joins the processes that `torchrun` started; one process if it did not.

    A process that fails ends with its own error. The others find their connection gone (gloo), are
    ended by `torchrun`, or give up after `TIMEOUT`: none waits forever.

    Raises:
        ConfigError: more processes on this machine than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if torch.cuda.is_available():
        local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= gpus:
            raise ConfigError(
                f"torchrun: {os.environ.get('LOCAL_WORLD_SIZE', local + 1)} processes on a machine "
                f"with {gpus} GPUs; start at most one for each (--nproc-per-node {gpus})"
            )
        torch.cuda.set_device(local)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    yield Processes(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error: the others may never come to it
    # gloo's threads outlive the group. One that lets go of its last tensors while Python ends
    # aborts the process (pytorch/pytorch#179291): give it the time to do so before.
    time.sleep(0.2)
