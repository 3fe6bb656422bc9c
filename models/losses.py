"""What training minimises: soft Dice plus focal loss, and more of the latter under ink."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

SMOOTHING = 1e-5
SMOOTHING_OF_NOTHING = 64.0  # pixels: of a false object as large half is lost
GAMMA = 2  # of the focal loss; ScribblePrompt has 20, 2 starts faster


def segmentation_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice plus focal loss, a scalar: the mean over the batch.

    ``logits`` and ``truth`` are (B, 1, H, W); truth is 0 or 1 of any dtype. Everything is computed in
    float32, so it is safe to call under bf16 autocast. The sum is ScribblePrompt's training loss.
    """
    with torch.autocast(device_type=logits.device.type, enabled=False):
        logits, truth = logits.float(), truth.float()
        return (soft_dice_loss(logits, truth) + _focal(logits, truth)).mean()


def soft_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - (2Σpy + ε) / (Σp² + Σy² + ε) of each element, (B,): the squared form of ScribblePrompt.

    Where the truth is empty ε is large: it would be 1 there, whatever is predicted.
    """
    probability = torch.sigmoid(logits)
    overlap = (probability * truth).flatten(1).sum(1)
    size = truth.square().flatten(1).sum(1)
    smoothing = torch.where(size > 0, SMOOTHING, SMOOTHING_OF_NOTHING)
    return 1 - (2 * overlap + smoothing) / (probability.square().flatten(1).sum(1) + size + smoothing)


def ink_loss(logits: Tensor, truth: Tensor, ink: Tensor) -> Tensor:
    """Cross-entropy on the pixels that clicks and strokes cover, a scalar; 0 where there is no ink.

    ``ink`` is (B, 3, H, W) as ``models.encoding.encode_prompts`` paints it: box, positive, negative.
    """
    weight = ink[:, 1:].amax(dim=1, keepdim=True)
    entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp_min(1.0)


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy weighted by (1 - p of the true class) ** GAMMA, mean over pixels, (B,)."""
    entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    # exp(-entropy) is the probability of the true class.
    return ((1 - torch.exp(-entropy)) ** GAMMA * entropy).flatten(1).mean(1)
