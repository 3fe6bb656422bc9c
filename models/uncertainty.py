"""One number per prediction: how much Dice is likely to be missing.

What the probabilities expect of their own mask, and how far several opinions agree (the two scales; for an
untouched image also two halves of its context), both weighed as validation tasks say (after Tyche's
ensembles in context, Rakic et al., CVPR 2024; and BALD-like disagreement).
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

# Least squares of true Dice on the two, over untouched predictions of validation tasks
# (`accrue evaluate --table calibration` shows how well it holds).
INTERCEPT, OF_EXPECTED, OF_AGREEMENT = -0.126, 0.829, 0.381


def uncertainty(probability: Tensor, opinions: Sequence[Tensor]) -> float:
    """In [0, 1], of a probability map (h, w) and the maps of that shape that it might have been as well."""
    dice = INTERCEPT + OF_EXPECTED * expected_dice(probability) + OF_AGREEMENT * agreement(opinions)
    return min(1.0, max(0.0, 1 - dice))


def expected_dice(probability: Tensor) -> float:
    """The Dice that the probabilities themselves expect of their mask, about; 0 for an empty mask."""
    mask = probability > 0.5
    total = float(probability.sum()) + float(mask.sum())
    return 2 * float(probability[mask].sum()) / total if total else 0.0


def agreement(opinions: Sequence[Tensor]) -> float:
    """Mean soft Dice of every two maps, in [0, 1]; 1 for a single one."""
    pairs = [_soft_dice(a, b) for a, b in combinations(opinions, 2)]
    return sum(pairs) / len(pairs) if pairs else 1.0


def _soft_dice(a: Tensor, b: Tensor) -> float:
    overlap, total = torch.minimum(a, b).sum(), a.sum() + b.sum()
    return float(2 * overlap / total) if total else 1.0
