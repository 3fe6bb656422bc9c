"""Uncertainty: sure and agreed is certain, torn or contradicted is not."""

import pytest
import torch

from models.uncertainty import agreement, expected_dice, uncertainty

DISC = (
    torch.hypot(*torch.meshgrid(torch.arange(40) - 20.0, torch.arange(40) - 20.0, indexing="ij")) < 9
).float()


def test_sure_and_agreed_is_more_certain_than_torn_and_than_contradicted() -> None:
    sure = uncertainty(DISC, [DISC, DISC])
    torn = uncertainty(DISC * 0.2 + 0.45, [DISC, DISC])
    contradicted = uncertainty(DISC, [DISC, DISC.roll(12, 0)])
    assert 0 <= sure < min(torn, contradicted) and max(torn, contradicted) <= 1


def test_agreement_is_the_mean_dice_of_every_two_opinions() -> None:
    half = DISC.clone()
    half[:20] = 0
    dice = float(2 * half.sum() / (half.sum() + DISC.sum()))
    assert agreement([DISC, half]) == pytest.approx(dice)
    assert agreement([DISC, DISC, half]) == pytest.approx((1 + 2 * dice) / 3)
    assert agreement([DISC]) == agreement([torch.zeros(4, 4)] * 2) == 1


def test_the_expected_dice_of_a_mask_is_one_when_it_is_sure_and_nothing_without_one() -> None:
    assert expected_dice(DISC) == 1
    assert expected_dice(DISC * 0.4) == 0
    assert 0.5 < expected_dice(DISC * 0.7 + 0.1) < 0.95
