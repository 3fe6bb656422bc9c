"""The context-memory network: what its passes promise, on random weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.blocks import JoiningBlock
from models.memory import ContextMemory, Memory, MemoryConfig, double


@pytest.fixture(scope="module")
def network() -> ContextMemory:
    torch.manual_seed(0)
    return ContextMemory().eval()


def tasks(b: int, s: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    query, context = torch.rand(b, 1, 128, 128), torch.rand(b, s, 1, 128, 128)
    masks = (torch.rand(b, s, 1, 128, 128) > 0.7).float()
    return query, context, masks, torch.rand(b, 4, 128, 128)


def part(memory: Memory, order: list[int]) -> Memory:
    """The memory's entries in another order, cut out and joined again."""
    s = len(memory)

    def pick(cells: Tensor) -> Tensor:
        return torch.cat([cells.chunk(s, dim=2)[i] for i in order], dim=2)

    return Memory(
        tuple(pick(k) for k in memory.keys),
        tuple(pick(v) for v in memory.values),
        tuple(p[:, order] for p in memory.prototypes),
        memory.areas[:, order],
    )


@torch.no_grad()
def test_what_a_block_makes_ahead_changes_nothing_in_what_it_makes() -> None:
    torch.manual_seed(2)
    block = JoiningBlock(7, 8)
    first, second = torch.rand(2, 5, 16, 16), torch.rand(2, 2, 16, 16)
    joined = block.join(*block.ahead(first), second)
    torch.testing.assert_close(joined, block(torch.cat([first, second], dim=1)), atol=1e-5, rtol=0)


def test_doubling_is_bilinear_interpolation() -> None:
    x = torch.randn(2, 3, 5, 8)
    expected = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert torch.allclose(double(x), expected, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("widths", [(4, 8, 8, 8, 16), (8, 16, 32, 64, 160)], ids=["narrow", "wide"])
def test_a_network_may_be_of_any_width(widths: tuple[int, ...]) -> None:
    query, images, masks, prompts = tasks(1, 2)
    network = ContextMemory(MemoryConfig(widths=widths)).eval()
    assert network(query, (images, masks), prompts).shape == (1, 1, 128, 128)


@torch.no_grad()
def test_the_answer_has_one_logit_per_pixel_with_and_without_context(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(2, 3)
    assert network(query, (images, masks), prompts).shape == (2, 1, 128, 128)
    assert network(query, None, prompts).shape == (2, 1, 128, 128)


@torch.no_grad()
def test_the_order_of_the_context_does_not_matter(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(1, 4)
    straight = network(query, (images, masks), prompts)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = network(query, (images[:, order], masks[:, order]), prompts)
    torch.testing.assert_close(straight, shuffled, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_memory_grown_entry_by_entry_equals_one_made_at_once(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(1, 3)
    grown: Memory | None = None
    for i in range(3):
        entry = network.remember(network.encode(images[:, i]), masks[:, i])
        grown = entry if grown is None else grown.extended(entry)
    assert grown is not None and len(grown) == 3
    opened = network.open(network.encode(query), grown)
    at_once = network(query, (images, masks), prompts)
    torch.testing.assert_close(network.decode(opened, prompts), at_once, atol=1e-4, rtol=0)


@torch.no_grad()
def test_an_entry_can_be_left_out_again(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(1, 3)
    memory = network.remember_all(images, masks)
    features = network.encode(query)
    without = network.decode(network.open(features, part(memory, [0, 2])), prompts)
    never = network(query, (images[:, [0, 2]], masks[:, [0, 2]]), prompts)
    torch.testing.assert_close(without, never, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("positions", [[0], [3], [0, 2], [1, 2, 3], [0, 1, 3], [2, 0]])
def test_some_views_answer_as_they_do_among_all(network: ContextMemory, positions: list[int]) -> None:
    images, prompts = torch.rand(4, 1, 32, 32), torch.rand(4, 4, 32, 32)
    opened = network.open(network.encode(images), None)
    alone = network.decode(opened.views(positions), prompts[positions])
    assert torch.allclose(alone, network.decode(opened, prompts)[positions], atol=1e-4)


@torch.no_grad()
def test_tasks_in_a_batch_do_not_see_each_other(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(2, 2)
    both = network(query, (images, masks), prompts)
    alone = network(query[1:], (images[1:], masks[1:]), prompts[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_context_masks_change_the_answer(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(1, 2)
    asked = network(query, (images, masks), prompts)
    other = network(query, (images, 1 - masks), prompts)
    assert not torch.allclose(asked, other, atol=1e-3)


def test_every_parameter_learns_from_an_interaction_with_context(network: ContextMemory) -> None:
    query, images, masks, prompts = tasks(1, 2)
    network(query, (images, masks), prompts).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    network.zero_grad()
    assert idle == []
