"""The vectors that the page's engine is tested with are what the service says now."""

import json
from typing import Any

import numpy as np
import pytest

from service.masks import Change, Mask, apply_change
from service.morphology import fill_holes, keep_largest
from tests.vectors import VECTORS, image_vectors, mask_vectors

KEPT: list[dict[str, Any]] = json.loads((VECTORS / "masks.json").read_text())


def unpacked(vector: dict[str, Any], name: str) -> Mask:
    shape = vector["height"], vector["width"]
    bits = np.frombuffer(bytes.fromhex(vector[name]), dtype=np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)


@pytest.mark.parametrize("vector", KEPT, ids=lambda vector: f"{vector['width']}x{vector['height']}")
def test_the_service_still_says_what_the_page_is_tested_with(vector: dict[str, Any]) -> None:
    before, after = unpacked(vector, "before"), unpacked(vector, "after")
    for change, base in ((vector["change"], before), (vector["whole"], None)):
        found = apply_change(base, Change(box=change["box"], bits=change["bits"]), shape=after.shape)
        np.testing.assert_array_equal(found, after)
    np.testing.assert_array_equal(fill_holes(after), unpacked(vector, "filled"))
    np.testing.assert_array_equal(keep_largest(after), unpacked(vector, "largest"))


def test_they_are_made_by_the_script_beside_this() -> None:
    plain = [{k: v for k, v in vector.items() if isinstance(v, int | str)} for vector in KEPT]
    made = [{k: v for k, v in vector.items() if isinstance(v, int | str)} for vector in mask_vectors()]
    assert plain == made
    images = json.loads((VECTORS / "images.json").read_text())
    assert [image["values"] for image in images] == [image["values"] for image in image_vectors()]
