"""What the page's engine must reproduce, made by the service's own code: `python -m tests.vectors`."""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from service.masks import Mask, encode_change
from service.morphology import fill_holes, keep_largest

VECTORS = Path(__file__).parent.parent / "web/tests/vectors"


def packed(mask: Mask) -> str:
    return np.packbits(mask).tobytes().hex()


def mask_vectors() -> list[dict[str, Any]]:
    """Pairs of masks: the change from the first to the second, and the second one mended."""
    rng = np.random.default_rng(0)
    made = []
    for width, height in [(1, 1), (1, 9), (9, 1), (8, 8), (13, 7), (31, 33), (40, 24)] * 4:
        smooth = ndimage.gaussian_filter(rng.normal(size=(2, height, width)), (0, 1, 1))
        before, after = smooth > rng.uniform(-0.2, 0.2, size=(2, 1, 1))
        made.append(
            {
                "width": width,
                "height": height,
                "before": packed(before),
                "after": packed(after),
                "change": encode_change(before, after),
                "whole": encode_change(None, after),
                "filled": packed(fill_holes(after)),
                "largest": packed(keep_largest(after)),
            }
        )
    return made


def image_vectors() -> list[dict[str, Any]]:
    """Images of each kind as PNG, with their values; null where the page leaves them to the browser."""
    rng = np.random.default_rng(0)
    made = []
    for dtype in (np.uint8, np.uint16):
        most = np.iinfo(dtype).max
        ramp = np.linspace(0, most, 17 * 9).reshape(9, 17, 1)
        noisy = (ramp + rng.normal(0, most / 50, (9, 17, 4))).clip(0, most).astype(dtype)
        for channels in (1, 3, 4):
            pixels = noisy[..., :channels]
            # OpenCV has blue first.
            done, file = cv2.imencode(
                ".png", pixels[..., [2, 1, 0, 3][:channels]] if channels > 1 else pixels
            )
            assert done
            made.append(_image(file.tobytes(), pixels[..., : min(channels, 3)]))
    grey = Image.fromarray(noisy[..., 0].astype(np.uint8))
    for image in (grey.convert("P"), grey.convert("1")):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        made.append(_image(stream.getvalue(), None))
    return made


def _image(png: bytes, pixels: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    values = None if pixels is None else pixels.ravel().tolist()
    return {"png": base64.b64encode(png).decode(), "values": values}


def main() -> int:
    VECTORS.mkdir(parents=True, exist_ok=True)
    (VECTORS / "masks.json").write_text(json.dumps(mask_vectors(), indent=1) + "\n")
    (VECTORS / "images.json").write_text(json.dumps(image_vectors(), indent=None) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
