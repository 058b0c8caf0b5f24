"""One of several processes that share gradients: `torchrun overlap_kit.py FOLDER WAY`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from processes_kit import SHORT
from torch import nn
from torch.utils.checkpoint import checkpoint
from toy_street import CONFIG, new_training

from langocc.render.pointwise import apply_frugally
from langocc.train import overlap
from langocc.train.overlap import OverlappedMean
from langocc.train.processes import Processes, joined

overlap.BUCKET_BYTES = 200  # many buckets, of a layer or two


class Afterwards:
    """The plain way: everything at once, after the backward pass."""

    def __init__(self, parameters, statistics, processes: Processes) -> None:
        self.parameters = [parameter for _, parameter in parameters]
        self.statistics, self.processes = statistics, processes

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.processes.average_([*gradients, *self.statistics])


class Counted(OverlappedMean):
    """Notes how many buckets had left when the backward pass was over."""

    early = 0

    def __exit__(self, *error) -> None:
        self.early = len(self._buckets) - len(self._unsent)
        super().__exit__(*error)


class Odd(nn.Module):
    """Everything that makes it hard to say when a gradient is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Linear(8, 8)  # first and last: complete when almost all others are
        self.middle = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.parted = nn.Linear(8, 8)  # reentrant checkpoints: its gradient comes in two parts
        self.head = nn.Linear(8, 8)  # called inside of a function that differentiates by itself
        self.volume = nn.Conv3d(2, 4, 2)
        kernel = self.volume.weight.data.contiguous(memory_format=torch.channels_last_3d)
        self.volume.weight.data = kernel
        self.one_sided = nn.Parameter(torch.ones(8))  # has no gradient in the first process
        self.unused = nn.Parameter(torch.ones(8))
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: torch.Tensor, rank: int) -> torch.Tensor:
        x = self.tied(x).relu()
        for layer in self.middle:
            x = layer(x).tanh()
        for _ in range(2):
            x = checkpoint(self.parted, x, use_reentrant=True)
        x = self.norm(x) * self.frozen
        if rank:
            x = x * self.one_sided
        for _ in range(2):
            (x,) = apply_frugally(lambda rows: (self.head(rows).sin(),), x, self.head.parameters())
        volume = self.volume(x.reshape(-1, 2, 2, 2, 2)).flatten(1).repeat(1, 2)
        return self.tied(volume).square().mean()


def compare_gradients(processes: Processes) -> None:
    """Ten steps of the odd network: the same bits in both ways, and buckets that leave early."""
    torch.manual_seed(0)
    plain, ours = Odd(), Odd()
    ours.load_state_dict(plain.state_dict())
    ours.volume.weight.data = ours.volume.weight.data.contiguous(
        memory_format=torch.channels_last_3d
    )
    statistics = [plain.norm.running_mean, plain.norm.running_var]
    waiting = Afterwards(list(plain.named_parameters()), statistics, processes)
    statistics = [ours.norm.running_mean, ours.norm.running_var]
    sharing = Counted(list(ours.named_parameters()), statistics, processes)
    for step in range(10):
        x = torch.randn(32, 8, generator=torch.Generator().manual_seed(2 * step + processes.rank))
        x *= 10.0 ** (2 - step)
        for network, way in ((plain, waiting), (ours, sharing)):
            network.zero_grad(set_to_none=True)
            loss = network(x.requires_grad_(), processes.rank)
            if network is plain and not processes.rank:
                plain.one_sided.grad = torch.zeros(8)  # what the plain way needs from its caller
            with way:
                loss.backward()
        for (name, one), other in zip(plain.named_parameters(), ours.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                assert other.grad is not None
                assert torch.equal(one.grad, other.grad), (step, name)
                assert other.grad.stride() == other.stride(), name
        for one, other in zip(plain.buffers(), ours.buffers(), strict=True):
            assert torch.equal(one, other)
        assert ours.unused.grad is None
        assert step == 0 or sharing.early > 5, sharing.early


def compare_runs(folder: Path, processes: Processes, batch_norm: str) -> None:
    """A whole run: the same weights, to the bit."""
    found = []
    for way in (Afterwards, Counted):
        config = replace(SHORT, batch_norm=batch_norm, schedule=CONFIG.schedule)
        training = new_training(folder, config, processes)
        sharing = training._train_step._averaged
        assert isinstance(sharing, OverlappedMean)
        sharing._is_listening = False
        counted = way(training.model.named_parameters(), sharing._statistics, processes)
        training._train_step._averaged = counted
        assert len(list(training.advance(3))) == 3
        found.append(training.model.state_dict())
    assert counted.early > 5, counted.early
    for (name, one), other in zip(found[0].items(), found[1].values(), strict=True):
        assert torch.equal(one, other), name


def break_off(processes: Processes, way: str) -> None:
    """In the second step, the last process breaks in the middle, or finds other gradients."""
    layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(8)))
    spare = nn.Linear(8, 8)
    named = [*layers.named_parameters("layers"), *spare.named_parameters("spare")]
    sharing = OverlappedMean(named, [], processes)

    def fail(_: torch.Tensor) -> None:
        raise RuntimeError("this gradient is broken")

    for is_odd in (False, processes.rank == processes.count - 1):
        hidden = layers[:4](torch.ones(2, 8))
        if is_odd and way == "broken":
            hidden.register_hook(fail)
        out = layers[4:](hidden)
        if is_odd and way == "new":
            out = spare(out)
        with sharing:
            out.sum().backward()
            if is_odd and way == "again":
                layers(torch.ones(2, 8)).sum().backward()


if __name__ == "__main__":
    with joined() as joined_processes:
        folder, way = Path(sys.argv[1]), sys.argv[2]
        if way == "compare":
            compare_gradients(joined_processes)
            for batch_norm in ("local", "synchronised"):
                compare_runs(folder, joined_processes, batch_norm)
        else:
            break_off(joined_processes, way)
