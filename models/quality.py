"""How well an accepted mask and the context explain each other: what a mask that misleads gives away.

In-context reverse classification accuracy (Cosarinsky et al., arXiv 2503.04522): a mask as the only
context should reproduce the masks of the others; and the others should reproduce it. How well that can
go at all differs between labels, so it is told relative to how well the others explain each other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.handles import EncodedImage
from models.predictor import Predictor
from models.scores import dice_score

Pair = tuple[EncodedImage, NDArray[np.bool_]]

# Where the others themselves reach less Dice than this, they are no judges of a newcomer.
LEAST = 0.5


def agreement(predictor: Predictor, newcomer: Pair, others: Sequence[Pair]) -> float | None:
    """Dice of the newcomer from ``others`` and of them from it, over what they have among themselves.

    In [0, 1], 1 for a newcomer that fits as well as they do; None when they do not explain each other
    well enough to judge. An image without the object, whose mask is rightly empty, neither judges nor is
    judged: it looks like none of the others. Raises ValueError for fewer than two others.
    """
    if len(others) < 2:
        raise ValueError("agreement needs at least two other accepted pairs")
    others = [pair for pair in others if pair[1].any()]
    if len(others) < 2 or not newcomer[1].any():
        return None
    halves = others[::2], others[1::2]
    among = (_dice(predictor, *halves) + _dice(predictor, *halves[::-1])) / 2
    if among < LEAST:
        return None
    forward = _dice(predictor, others, [newcomer])
    backward = _dice(predictor, [newcomer], others)
    return min(1.0, (forward + backward) / 2 / among)


def _dice(predictor: Predictor, context: Sequence[Pair], queries: Sequence[Pair]) -> float:
    """Mean Dice of the queries' masks as predicted from a context alone."""
    read = predictor.encode_context([])
    for image, mask in context:
        read = predictor.extend_context(read, image, mask)
    masks = []
    for image, _ in queries:
        masks.append(predictor.predict(image, [], context=read, second_opinions=False).mask)
        image.forget_context()
    return float(np.mean([dice_score(m, truth) for m, (_, truth) in zip(masks, queries, strict=True)]))
