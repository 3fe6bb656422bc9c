"""MultiverSeg as it is drawn against MultiverSeg as we compute it: the same logits, in how many seconds.

Both take turns, so noise hits them alike, on one thread, so that other programs matter least.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import group_norm, interpolate, leaky_relu, max_pool2d

from models.multiverseg import SLOPE, MultiverSegNet

FEATURES, SIDE = 64, 128
SIZES = (16, 64)
ROUNDS = 3
MOST_DIFFERENCE, LEAST_GAIN = 1e-4, 3.0


def main() -> None:
    """Prints the table; fails when the logits differ or the gain is less than threefold."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = MultiverSegNet(FEATURES).eval()
    table = Table(title=f"One interaction with MultiverSeg ({FEATURES} features, one thread)")
    for heading in ("S", "plain (s)", "ours (s)", "plain / ours", "largest difference"):
        table.add_column(heading, justify="right")
    gains, differences = [], []
    with torch.inference_mode():
        for size in SIZES:
            plain, ours, difference = compared(network, size)
            table.add_row(
                str(size), f"{plain:.2f}", f"{ours:.2f}", f"{plain / ours:.1f}", f"{difference:.0e}"
            )
            gains.append(plain / ours)
            differences.append(difference)
    Console().print(table)
    if max(differences) > MOST_DIFFERENCE:
        raise SystemExit(f"The logits must agree within {MOST_DIFFERENCE:.0e}.")
    if min(gains) < LEAST_GAIN:
        raise SystemExit(f"The plain network must take at least {LEAST_GAIN:.0f} times as long.")


def compared(network: MultiverSegNet, size: int) -> tuple[float, float, float]:
    """Median seconds of plain and ours with ``size`` entries, and the largest difference of their logits."""
    target = torch.rand(1, 5, SIDE, SIDE)
    images = torch.rand(1, size, 1, SIDE, SIDE)
    labels = torch.rand(1, size, 1, SIDE, SIDE).round()
    plain, ours, differences = [], [], []
    for _ in range(ROUNDS):
        seconds, expected = timed(lambda: plain_forward(network, target, images, labels))
        plain.append(seconds)
        seconds, logits = timed(lambda: network(target, (images, labels)))
        ours.append(seconds)
        differences.append(float((expected - logits).abs().max()))
    return statistics.median(plain), statistics.median(ours), max(differences)


def timed(call: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds, and what came back."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def plain_forward(network: MultiverSegNet, target: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Every step as it is drawn: target (B, 5, H, W), images and labels (B, S, 1, H, W) -> (B, 1, H, W)."""
    entries = torch.cat([images, labels], dim=2)
    skips = []
    for level, block in enumerate(network.enc_blocks):
        if level:
            target, entries = halved(target), per_entry(halved, entries)
        target, entries = plain_block(block, target, entries)
        skips.append((target, entries))
    skips.pop()
    for block in network.dec_blocks:
        skip, entry_skips = skips.pop()
        target = torch.cat([doubled(target), skip], dim=1)
        entries = torch.cat([per_entry(doubled, entries), entry_skips], dim=2)
        target, entries = plain_block(block, target, entries)
    logits: Tensor = network.out_conv(target)
    return logits


def plain_block(block: Any, target: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
    """target (B, C_u, H, W), entries (B, S, C_v, H, W) -> both with C channels, nothing left out."""
    repeated = target[:, None].repeat(1, entries.shape[1], 1, 1, 1)
    crossed = per_entry(block.cross.cross_conv, torch.cat([repeated, entries], dim=2))
    crossed = leaky_relu(crossed, SLOPE)
    seen = plain_op(block.target.vmapped, crossed.mean(dim=1))
    return seen, per_entry(lambda x: plain_op(block.support.vmapped, x), crossed)


def plain_op(op: Any, x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H, W)."""
    activated = leaky_relu(op.conv(x), SLOPE)
    return group_norm(activated, 1, op.norml.weight, op.norml.bias, op.norml.eps)


def per_entry(step: Callable[[Tensor], Tensor], entries: Tensor) -> Tensor:
    """A step for images, done to every entry of (B, S, C, H, W)."""
    done = step(entries.flatten(0, 1))
    return done.view(*entries.shape[:2], *done.shape[1:])


def halved(x: Tensor) -> Tensor:
    return max_pool2d(x, 2)


def doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


if __name__ == "__main__":
    main()
