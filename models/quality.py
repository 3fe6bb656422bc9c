"""How well an accepted mask and the context explain each other: what a mask that misleads gives away.

In-context reverse classification accuracy (Cosarinsky et al., arXiv 2503.04522): a mask as the only
context should reproduce the masks of the others; and the others should reproduce it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.losses import dice_score
from models.predictor import EncodedImage, Predictor

Pair = tuple[EncodedImage, NDArray[np.bool_]]


def agreement(predictor: Predictor, newcomer: Pair, others: Sequence[Pair]) -> float:
    """Mean Dice, in [0, 1], of the newcomer predicted from ``others`` and of them predicted from it.

    Raises ValueError without others: there is nothing to agree with.
    """
    if not others:
        raise ValueError("agreement needs at least one other accepted pair")
    forward = _dice(predictor, others, [newcomer])
    backward = _dice(predictor, [newcomer], others)
    return (forward + backward) / 2


def _dice(predictor: Predictor, context: Sequence[Pair], queries: Sequence[Pair]) -> float:
    """Mean Dice of the queries' masks as predicted from a context alone."""
    read = predictor.encode_context([])
    for image, mask in context:
        read = predictor.extend_context(read, image, mask)
    masks = [predictor.predict(image, [], context=read).mask for image, _ in queries]
    return float(np.mean([dice_score(m, truth) for m, (_, truth) in zip(masks, queries, strict=True)]))
