# SPDX-License-Identifier: Apache-2.0
"""Gradients become means over processes while the backward pass is still making others.

They travel in buckets, in the order in which the first backward pass made them. DistributedData-
Parallel does the same around a module's `forward`; here the heads are also called outside of it,
when rays are rendered. So this listens to the parameters, wherever their gradients come from.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn

from langocc.train.processes import Processes

BUCKET_BYTES = 25 << 20
"""A bucket leaves when it has so many: early enough to be hidden, large enough to be fast."""


class Bucket:
    """Gradients, perhaps other tensors too, that travel together as one flat tensor (float32)."""

    def __init__(self, parameters: Sequence[nn.Parameter], others: Sequence[Tensor] = ()) -> None:
        """Lays out a place for each, in its own memory order."""
        self.parameters, self.others = parameters, others
        self.missing = len(parameters)
        every = [*parameters, *others]
        self.flat = torch.empty(sum(t.numel() for t in every), device=every[0].device)
        parts = self.flat.split([t.numel() for t in every])
        places = [p.as_strided(t.size(), t.stride()) for p, t in zip(parts, every, strict=True)]
        self.of_parameters, self.of_others = places[: len(parameters)], places[len(parameters) :]
        self.work: dist.Work | None = None

    @torch.no_grad()
    def send(self) -> None:
        """Starts the sum over processes; a parameter without a gradient adds zeros to it."""
        pairs = list(zip(self.of_parameters, self.parameters, strict=True))
        copies = [(place, p.grad) for place, p in pairs if p.grad is not None]
        copies += zip(self.of_others, self.others, strict=True)
        _copy(copies)
        for place, parameter in pairs:
            if parameter.grad is None:
                place.zero_()
            parameter.grad = place  # what was there is no longer needed
        self.work = dist.all_reduce(self.flat, async_op=True)

    @torch.no_grad()
    def receive(self, count: int) -> None:
        """Waits for the sum and makes it the mean; a GPU waits, its processor goes on."""
        assert self.work is not None
        self.work.wait()
        self.flat /= count
        _copy(list(zip(self.others, self.of_others, strict=True)))
        self.missing, self.work = len(self.parameters), None


class OverlappedMean:
    """Around a backward pass: after it, every gradient is its mean over processes.

    All processes must enter it together. The first pass only listens, and its gradients travel
    after it; from then on, a bucket leaves as soon as the last of its gradients is complete and
    those before it have left, so that all processes send in the same order. Which parameters get
    gradients is settled in the first pass, too: they have one after every pass, of zeros if no
    process made one; the others have none.

    Each step is `with averaged: loss.backward()`.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        statistics: Sequence[Tensor],
        processes: Processes,
    ) -> None:
        """Listens to parameters from now on.

        Args:
            parameters: By name, the same in all processes; float32, all on one device.
            statistics: Made means in place, too. They travel with the last gradients: a stage that
                is recomputed in the backward pass moves its running statistics once more.
            processes: Those that train together.
        """
        self._parameters = {name: p for name, p in parameters if p.requires_grad}
        self._statistics, self._processes = statistics, processes
        self._buckets: list[Bucket] = []
        self._bucket_of: Mapping[str, Bucket] = {}
        self._expected: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()
        self._unsent: deque[Bucket] = deque()
        self._is_listening = False
        for name, parameter in self._parameters.items():
            parameter.register_post_accumulate_grad_hook(partial(self._arrive, name))

    def __enter__(self) -> None:
        """Expects a backward pass."""
        self._arrived = Counter()
        self._unsent = deque(self._buckets)
        self._is_listening = True

    def _arrive(self, name: str, _: Tensor) -> None:
        """Notes a gradient. It may come in several parts, as often as in the first pass."""
        if not self._is_listening:
            return
        # Once more in the order, and behind those that came since: the last part is what counts.
        self._arrived[name] = self._arrived.pop(name, 0) + 1
        if not self._buckets:
            return
        bucket = self._bucket_of.get(name)
        if bucket is None or bucket.work is not None:
            raise RuntimeError(
                f"{name}: expected its gradient {self._expected[name]} times, as in the first "
                f"step, found it {self._arrived[name]} times: too late to share it"
            )
        if self._arrived[name] == self._expected[name]:
            bucket.missing -= 1
            while self._unsent and not self._unsent[0].missing:
                self._unsent.popleft().send()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        """Sends what is left and waits for everything; not after an error, which ends the run."""
        self._is_listening = False
        if kind is not None:
            return
        if not self._buckets:
            self._fill_buckets()
        while self._unsent:
            self._unsent.popleft().send()
        for bucket in self._buckets:
            bucket.receive(self._processes.count)

    def _fill_buckets(self) -> None:
        """In the first process's order; what only others have seen comes last."""
        seen = dict.fromkeys(chain(*self._processes.of_all(list(self._arrived))))
        self._expected = Counter({name: max(1, self._arrived[name]) for name in seen})
        groups: list[list[str]] = [[]]
        size = 0
        for name in seen:
            if size >= BUCKET_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += self._parameters[name].numel() * 4
        for group in groups:
            others = self._statistics if group is groups[-1] else ()
            self._buckets.append(Bucket([self._parameters[name] for name in group], others))
        zipped = zip(groups, self._buckets, strict=True)
        self._bucket_of = {name: bucket for group, bucket in zipped for name in group}
        self._unsent = deque(self._buckets)


def _copy(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Fills each first tensor from the second, all by a kernel or two."""
    if pairs:
        to, source = zip(*pairs, strict=True)
        torch._foreach_copy_(list(to), list(source))  # pyright: ignore[reportPrivateImportUsage]
