"""Frugal heads give the gradients that keeping everything would give."""

import os
from functools import partial

import pytest
import torch
from render_kit import random_head

from langocc.render import moved_rows, pointwise
from langocc.render.rows import unit_rows


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pointwise.CHUNK_ROWS, "cpu", 7)
    monkeypatch.setitem(pointwise.BACKWARD_CHUNK_ROWS, "cpu", 5)


def answers(is_frugal: bool, index: torch.Tensor | None, used: torch.Tensor):
    """Outputs, and gradients of the table and the head, when only some rows have a gradient."""
    head = random_head(dtype=torch.float64)
    table = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table.requires_grad_()
    if is_frugal:
        function = partial(unit_rows, head=head)
        rows, inverse = pointwise.apply_frugally(function, table, head.parameters(), index)
    else:
        rows, inverse = unit_rows(table if index is None else table[index], head)
    loss = (rows.square().sum(-1) * used).sum() + (inverse * used).sum()
    return rows, inverse, *torch.autograd.grad(loss, [table, *head.parameters()])


@pytest.mark.parametrize("index", [None, torch.tensor([3, 4, 9, 17, 18, 19, 20, 33, 39])])
@pytest.mark.parametrize("share_used", [0.0, 0.4, 1.0])
def test_same_gradients(index, share_used):
    count = 40 if index is None else len(index)
    used = (torch.arange(count) % 5 < 5 * share_used).double()
    for frugal, kept in zip(answers(True, index, used), answers(False, index, used), strict=True):
        torch.testing.assert_close(frugal, kept)


def test_only_used_rows_are_recomputed():
    head, seen = random_head(), []

    def counted(rows):
        seen.append(len(rows))
        return (head(rows),)

    table = torch.randn(40, 6, requires_grad=True)
    (out,) = pointwise.apply_frugally(counted, table, head.parameters())
    assert sum(seen) == 40
    out[[2, 30]].sum().backward()
    assert sum(seen) == 42


def test_weights_get_gradients_under_autocast():
    """A cast made for the forward pass must not be reused where gradients are wanted."""
    head = random_head()
    table = torch.randn(10, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (out,) = pointwise.apply_frugally(lambda rows: (head(rows),), table, head.parameters())
        both = out.float().sum() + head(table).float().sum()
        both.backward()
    assert out.dtype == torch.bfloat16
    alone = random_head()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        alone(table.detach()).float().sum().backward()
    for twice, once in zip(head.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(twice.grad, 2 * once.grad, rtol=2e-2, atol=2e-2)


def test_no_rows():
    head = random_head()
    table = torch.randn(10, 6, requires_grad=True)
    none = torch.zeros(0, dtype=torch.long)
    (out,) = pointwise.apply_frugally(lambda r: (head(r),), table, head.parameters(), none)
    assert out.shape == (0, 12)
    out.sum().backward()
    assert not table.grad.any()


@pytest.mark.parametrize("by", ["torch", "triton"])
def test_rows_taken_and_put_back(by, monkeypatch):
    """Exactly; rows that are not named stay. Without a GPU, Triton interprets."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if by == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
        if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
            pytest.skip("Triton was told not to interpret, and there is no GPU")
    monkeypatch.setattr(moved_rows, "_runs_triton", lambda _: by == "triton")
    table = torch.randn(9, 6, generator=torch.Generator().manual_seed(0)).to(device)
    index = torch.tensor([7, 0, 4], device=device)
    assert torch.equal(moved_rows.taken(table, index), table[index])
    expected = table.clone()
    expected[index] = -1.0
    moved_rows.put(table, index, torch.full((3, 6), -1.0, device=device))
    assert torch.equal(table, expected)
    assert moved_rows.taken(table, index[:0]).shape == (0, 6)
    around = moved_rows.zeros_around(table, index)
    around[index] = 1.0
    assert torch.equal(around.sum(1), torch.zeros(9, device=device).index_fill_(0, index, 6.0))


@pytest.mark.parametrize("share_used", [0.0, 0.4, 1.0])
def test_a_table_passed_on_collects_all_its_gradients(share_used):
    """Used by a head and by something else: as if both had used the table itself."""
    used = (torch.arange(40) % 5 < 5 * share_used).double()
    found = []
    for passes_on in (True, False):
        head = random_head(dtype=torch.float64)
        table = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        table.requires_grad_()
        out, other = head(table), table
        if passes_on:
            out, other = pointwise.apply_frugally(
                lambda rows, head=head: (head(rows),), table, head.parameters(), passes_on=True
            )
        loss = (out.square().sum(-1) * used).sum() + (other[7:20] ** 3).sum()
        found.append([out, other, *torch.autograd.grad(loss, [table, *head.parameters()])])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want)
