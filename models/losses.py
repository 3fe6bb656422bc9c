"""What training minimises: soft Dice plus focal loss, and more of the latter under ink."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

SMOOTHING = 1e-5
SMOOTHING_OF_NOTHING = 64.0  # pixels: of a false object as large half is lost


def segmentation_loss(
    logits: Tensor, truth: Tensor, *, gamma: float = 2.0, focal_weight: float = 1.0
) -> Tensor:
    """Soft Dice plus ``focal_weight`` times focal loss, a scalar: the mean over the batch.

    ``logits`` and ``truth`` are (B, 1, H, W); truth is 0 or 1 of any dtype. Everything is computed in
    float32, so it is safe to call under bf16 autocast. The sum is ScribblePrompt's training loss
    (focal with gamma 20 there; 2 starts faster, 0 is plain cross-entropy).
    """
    with torch.autocast(device_type=logits.device.type, enabled=False):
        logits, truth = logits.float(), truth.float()
        return (soft_dice_loss(logits, truth) + focal_weight * _focal(logits, truth, gamma)).mean()


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


def _focal(logits: Tensor, truth: Tensor, gamma: float) -> Tensor:
    """Cross-entropy weighted by (1 - p of the true class) ** gamma, mean over pixels, (B,)."""
    entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    if gamma:
        # exp(-entropy) is the probability of the true class. The floor keeps the power's gradient
        # finite where it rounds to 1 and gamma is below 1.
        entropy = (1 - torch.exp(-entropy)).clamp_min(1e-6) ** gamma * entropy
    return entropy.flatten(1).mean(1)
