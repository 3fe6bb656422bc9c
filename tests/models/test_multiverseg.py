"""MultiverSegNet: the reference's logits, the official file's parameters, and what must hold of a context."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.checkpoints import load_published
from models.multiverseg import MultiverSegNet, Norm

GOLDEN = Path(__file__).parent / "golden"
VECTORS = np.load(GOLDEN / "multiverseg_nf8_res128.npz")


@pytest.fixture(scope="module")
def network() -> MultiverSegNet:
    return load_published("MultiverSeg", MultiverSegNet, GOLDEN / "multiverseg_nf8_res128.pt")


def golden(case: int) -> tuple[Tensor, tuple[Tensor, Tensor] | None, Tensor]:
    """Target, context and the logits that the reference makes of them."""
    target, logits = (torch.from_numpy(VECTORS[f"{case}.{name}"]) for name in ("target", "logits"))
    if f"{case}.context_images" not in VECTORS:
        return target, None, logits
    images = torch.from_numpy(VECTORS[f"{case}.context_images"])
    return target, (images, torch.from_numpy(VECTORS[f"{case}.context_labels"]).float()), logits


@pytest.mark.parametrize("gradients", [False, True], ids=["serving", "training"])
@pytest.mark.parametrize("case", range(4), ids=["S = 1", "S = 5", "S = 3, B = 2", "no context"])
def test_the_logits_are_those_of_the_reference(network: MultiverSegNet, case: int, gradients: bool) -> None:
    target, context, expected = golden(case)
    with torch.set_grad_enabled(gradients):
        logits = network(target, context)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_the_parameters_are_those_of_the_official_file() -> None:
    official = json.loads((GOLDEN / "official_checkpoint_shapes.json").read_text())["multiverseg_v1_nf256"]
    with torch.device("meta"):
        ours = MultiverSegNet().state_dict()
    assert {name: list(tensor.shape) for name, tensor in ours.items()} == official


@torch.inference_mode()
def test_neither_order_nor_repetition_of_the_context_matters(network: MultiverSegNet) -> None:
    target, context, expected = golden(1)
    assert context is not None
    for order in ([4, 2, 0, 3, 1], [0, 1, 2, 3, 4] * 2):
        logits = network(target, (context[0][:, order], context[1][:, order]))
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    uneven = network(target, (context[0][:, [0, 0, 0, 1, 2, 3, 4]], context[1][:, [0, 0, 0, 1, 2, 3, 4]]))
    assert (uneven - expected).abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("chunk", [2, 5, 64])
def test_entries_may_be_computed_in_chunks_of_any_size(
    network: MultiverSegNet, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multiverseg.CPU_CHUNK", chunk)
    for case in (1, 2):
        target, context, expected = golden(case)
        torch.testing.assert_close(network(target, context), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_context_of_no_entries_is_no_context(network: MultiverSegNet) -> None:
    target, _, expected = golden(3)
    nothing = torch.zeros(1, 0, 1, 128, 128)
    torch.testing.assert_close(network(target, (nothing, nothing)), expected, atol=1e-4, rtol=0)


def test_all_that_is_computed_learns_and_only_the_last_support_stream_is_not() -> None:
    torch.manual_seed(0)
    network = MultiverSegNet(4)
    context = torch.rand(2, 3, 1, 32, 32), torch.rand(2, 3, 1, 32, 32).round()
    network(torch.rand(2, 5, 32, 32), context).square().mean().backward()
    still = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert still == {
        name for name, _ in network.named_parameters() if name.startswith("dec_blocks.2.support.")
    }


@torch.inference_mode()
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_a_norm_is_as_exact_with_its_channels_last(mean: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 64, 64) + mean
    norm = Norm(16)
    norm.weight.copy_(torch.randn(16))
    norm.bias.copy_(torch.randn(16))
    torch.testing.assert_close(
        norm(x.contiguous(memory_format=torch.channels_last)), norm(x), atol=2e-4, rtol=0
    )


def test_sides_that_cannot_be_halved_three_times_are_refused(network: MultiverSegNet) -> None:
    with pytest.raises(ValueError, match="multiples of 8, not 128 and 36"):
        network(torch.zeros(1, 5, 128, 36))
