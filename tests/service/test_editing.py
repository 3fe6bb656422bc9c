"""Manual edits: they are steps like any other, need no model, and bad ones change nothing."""

import base64
import io
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Picture

from service.masks import Mask, apply_change, encode_change, to_png
from tests.factories import CLICK, a_project, png
from tests.service.conftest import Alone
from tests.service.hands import SHAPE, Hand, disc, opened, take_next

RING = disc(32, 24, 15) & ~disc(32, 24, 8)
TWO = disc(20, 24, 9) | disc(50, 24, 4)


def bits(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def put(hand: Hand, data: bytes) -> httpx.Response:
    return hand.api.put(
        f"/annotations/{hand.id}/mask", content=data, headers=hand.lease | {"Content-Type": "image/png"}
    )


def test_a_painted_box_changes_its_pixels_and_no_others(alone: Alone) -> None:
    hand = opened(alone)
    before = hand.mask()
    change = {"box": [10, 30, 22, 40], "bits": bits(b"\xff" * 15)}
    answer = hand.edit("paint", change=change)
    expected = before.copy()
    expected[30:40, 10:22] = True
    assert np.array_equal(hand.mask(), expected)
    assert answer["edited"]["n"] == 1
    assert answer["edited"]["base"] is not None
    assert np.array_equal(apply_change(before, answer["edited"]["mask"], shape=SHAPE), expected)


def test_erasing_is_painting_with_nothing(alone: Alone) -> None:
    hand = opened(alone)
    hand.paint(RING)
    hand.edit("paint", change={"box": [0, 0, 64, 24], "bits": bits(bytes(64 * 24 // 8))})
    expected = RING.copy()
    expected[:24] = False
    assert np.array_equal(hand.mask(), expected)


@pytest.mark.parametrize(
    ("kind", "options", "before", "after"),
    [
        ("fill_holes", {}, RING, disc(32, 24, 15)),
        ("fill_holes", {}, TWO, TWO),
        ("keep_largest", {}, TWO, disc(20, 24, 9)),
        ("keep_largest", {}, RING, RING),
        ("smooth", {"radius": 3}, TWO & ~disc(20, 24, 0), TWO & True),
    ],
)
def test_a_whole_mask_can_be_mended(
    alone: Alone, kind: str, options: dict[str, Any], before: Mask, after: Mask
) -> None:
    hand = opened(alone)
    hand.paint(before)
    hand.edit(kind, **options)
    # Smoothing moves an edge by a pixel at most; the others are exact.
    allowed = 12 if kind == "smooth" else 0
    assert np.count_nonzero(hand.mask() != after) <= allowed
    hand.undo()
    assert np.array_equal(hand.mask(), before)


def test_a_mask_can_be_replaced_by_a_picture_of_it(alone: Alone) -> None:
    hand = opened(alone)
    answer = put(hand, to_png(RING))
    assert answer.status_code == 200, answer.text
    assert np.array_equal(hand.mask(), RING)
    hand.undo()
    assert not np.array_equal(hand.mask(), RING)


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P", "LA"])
def test_what_is_not_black_in_a_picture_is_mask(alone: Alone, mode: str) -> None:
    grey = Picture.fromarray((RING * 255).astype(np.uint8))
    picture = Picture.fromarray(RING.astype(np.uint16) * 1000) if mode == "I;16" else grey.convert(mode)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    hand = opened(alone)
    assert put(hand, stream.getvalue()).status_code == 200
    assert np.array_equal(hand.mask(), RING)


def test_without_a_model_people_draw_by_hand_and_submit(alone: Alone) -> None:
    hand = opened(alone, predicted=False)
    assert hand.seen()["prediction"] is None
    hand.paint(RING)
    hand.edit("fill_holes")
    accepted = hand.submit()
    assert accepted["state"] == "accepted"
    assert np.array_equal(hand.mask(), disc(32, 24, 15))


def test_an_interaction_without_its_prediction_can_be_painted_over_and_submitted(alone: Alone) -> None:
    hand = opened(alone)
    hand.draw(predicted=False)
    assert hand.submit(409)["code"] == "prediction_missing"
    hand.paint(RING)
    assert hand.submit()["state"] == "accepted"
    assert np.array_equal(hand.mask(), RING)


def test_a_reply_for_the_step_before_a_manual_edit_comes_too_late(alone: Alone) -> None:
    hand = opened(alone)
    hand.draw(predicted=False)
    hand.paint(RING)
    alone.work()
    assert hand.seen()["edited"]["n"] == 2
    assert np.array_equal(hand.mask(), RING)


def test_an_edit_of_what_is_not_seen_any_more_is_refused(alone: Alone) -> None:
    hand = opened(alone)
    hand.draw()
    stale = {"kind": "fill_holes", "step": 0}
    problem = hand.post("edits", stale, 412)
    assert (problem["code"], problem["step"]) == ("version_stale", 1)
    assert hand.seen()["step"] == 1


@pytest.mark.parametrize(
    ("box", "packed"),
    [
        ([0, 0, 65, 48], bits(bytes(390))),
        ([-1, 0, 8, 8], bits(bytes(9))),
        ([8, 8, 0, 0], bits(bytes(8))),
        ([0, 0, 2**31, 2**31], bits(b"\0")),
        ([0, 0, 8, 8], bits(bytes(7))),
        ([0, 0, 8, 8], bits(bytes(9))),
        ([0, 0, 8, 8], bits(bytes(10**8))),
        ([0, 0, 8, 8], bits(b"")),
        ([0, 0, 8, 8], "not base64!"),
        ([0, 0, 8, 8], "é" * 8),
        ([0, 0, 8, 8], base64.b64encode(b"not zlib").decode()),
        ([0, 0, 8, 8], bits(bytes(8))[:-6]),
        ([0, 0, 8, 8], base64.b64encode(zlib.compress(bytes(8))[:-5]).decode()),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_change_that_does_not_fit_is_refused(alone: Alone, box: list[int], packed: str) -> None:
    hand = opened(alone)
    change = {"box": box, "bits": packed}
    assert hand.edit("paint", 422, change=change)["code"] == "mask_refused"
    draft = {"mask": change}
    answer = hand.api.put(f"/annotations/{hand.id}/draft", json=draft, headers=hand.lease)
    assert (answer.status_code, answer.json()["code"]) == (422, "mask_refused")
    assert hand.seen()["step"] == 0


@pytest.mark.parametrize("box", [[], [0, 0, 8], [0, 0, 8, 8, 8], [0.5, 0, 8, 8], ["a", 0, 8, 8], None])
def test_a_box_that_is_none_is_refused(alone: Alone, box: Any) -> None:
    answer = opened(alone).edit("paint", 422, change={"box": box, "bits": bits(bytes(8))})
    assert answer["code"] == "invalid"


def bomb(side: int) -> bytes:
    """A PNG that says it has ``side`` x ``side`` pixels, in a few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(10**7))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def damaged() -> bytes:
    whole = to_png(RING)
    return whole[: len(whole) // 2]


def jpeg() -> bytes:
    stream = io.BytesIO()
    Picture.fromarray((RING * 255).astype(np.uint8)).save(stream, format="JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        png()[:8],
        to_png(np.ones((48, 63), dtype=np.bool_)),
        to_png(np.ones((64, 48), dtype=np.bool_)),
        bomb(100_000),
        bomb(2**31 - 1),
        damaged(),
        jpeg(),
    ],
    ids=["nothing", "svg", "signature", "narrow", "turned", "bomb", "larger bomb", "damaged", "jpeg"],
)
def test_a_picture_that_is_no_mask_of_the_image_is_refused(alone: Alone, data: bytes) -> None:
    hand = opened(alone)
    answer = put(hand, data)
    assert (answer.status_code, answer.json()["code"]) == (422, "mask_refused"), answer.text
    assert hand.seen()["step"] == 0


def test_edits_need_the_lease(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.lease = {"Lease-Token": "wrong"}
    change = encode_change(None, RING)
    assert hand.edit("paint", 409, change=change)["code"] == "lease_lost"
    assert put(hand, to_png(RING)).status_code == 409
    assert hand.undo(409)["code"] == "lease_lost"
    assert hand.post("interactions", {"prompts": [CLICK]}, 409)["code"] == "lease_lost"
