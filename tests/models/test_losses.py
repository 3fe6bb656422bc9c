"""The training loss."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.losses import segmentation_loss, soft_dice_loss


def square(batch: int = 2) -> Tensor:
    truth = torch.zeros(batch, 1, 16, 16)
    truth[:, :, 4:10, 3:12] = 1
    return truth


def sure(mask: Tensor, logit: float = 20) -> Tensor:
    """Logits that say exactly this mask."""
    return (2 * mask - 1) * logit


@pytest.mark.parametrize("content", ["object", "empty", "full"])
def test_perfect_logits_cost_nothing(content: str) -> None:
    truth = {"object": square(), "empty": torch.zeros(2, 1, 16, 16), "full": torch.ones(2, 1, 16, 16)}[
        content
    ]
    assert 0 <= segmentation_loss(sure(truth), truth).item() < 1e-3


def test_worse_logits_cost_more() -> None:
    truth = square()
    shifted = [sure(truth.roll(by, -1), 6) for by in (0, 1, 2, 4, 8)] + [sure(1 - truth, 6)]
    losses = [segmentation_loss(logits, truth).item() for logits in shifted]
    assert losses == sorted(losses) and losses[0] < 0.05 < losses[1] and losses[-1] > 1


def test_the_loss_is_the_mean_over_the_batch() -> None:
    truth = square(3)
    logits = torch.stack([sure(truth[0]), sure(1 - truth[0]), torch.zeros(1, 16, 16)])
    alone = [segmentation_loss(logits[i : i + 1], truth[i : i + 1]).item() for i in range(3)]
    assert segmentation_loss(logits, truth).item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_a_false_object_where_there_is_none_costs_more_the_larger_it_is_and_is_learned_from() -> None:
    nothing = torch.zeros(3, 1, 16, 16)
    said = nothing.clone()
    said[1, :, :8, :8] = said[2] = 1
    logits = sure(said, 1).requires_grad_()
    losses = soft_dice_loss(logits, nothing)
    assert losses.diff().min() > 0.1 and losses.max() < 1
    assert torch.autograd.grad(losses[1], logits)[0][1, 0, 3, 3] > 1e-3


def test_the_dice_part_of_each_element_is_its_own() -> None:
    truth = square(2)
    losses = soft_dice_loss(torch.stack([sure(truth[0]), sure(1 - truth[0])]), truth)
    assert losses.shape == (2,)
    assert losses.tolist() == pytest.approx([0, 1], abs=1e-4)


def test_focus_lowers_the_price_of_what_is_nearly_right() -> None:
    truth = square()

    def share(logits: Tensor) -> float:
        """What is left of the cross-entropy."""
        focal = segmentation_loss(logits, truth) - soft_dice_loss(logits, truth).mean()
        return (focal / binary_cross_entropy_with_logits(logits, truth)).item()

    assert share(sure(truth, 2)) < 0.05
    assert share(sure(1 - truth, 2)) > 0.5


@pytest.mark.parametrize("logit", [0.0, 1e-3, 30.0, 1e4])
def test_the_gradient_is_finite_however_sure_the_logits_are(logit: float) -> None:
    for truth in (square(), torch.zeros(2, 1, 16, 16), torch.ones(2, 1, 16, 16)):
        for target in (truth, 1 - truth):
            logits = sure(target, logit).requires_grad_()
            loss = segmentation_loss(logits, truth)
            loss.backward()  # type: ignore[no-untyped-call]
            assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_a_step_against_the_gradient_helps() -> None:
    truth = square()
    logits = torch.zeros_like(truth, requires_grad=True)
    loss = segmentation_loss(logits, truth)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert segmentation_loss(logits - 10 * gradient, truth) < loss
    assert (gradient[truth == 1] < 0).all() and (gradient[truth == 0] > 0).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float64])
def test_the_truth_may_have_any_dtype(dtype: torch.dtype) -> None:
    truth = square()
    logits = torch.linspace(-2, 2, truth.numel()).reshape(truth.shape)
    assert torch.equal(segmentation_loss(logits, truth.to(dtype)), segmentation_loss(logits, truth))


def test_it_is_computed_in_float32_under_autocast() -> None:
    truth = square()
    logits = torch.linspace(-8, 8, truth.numel()).reshape(truth.shape).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = segmentation_loss(logits, truth.bfloat16())
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(segmentation_loss(logits.detach().float(), truth).item(), rel=1e-6)
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad.any()
