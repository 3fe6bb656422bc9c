"""What a person waits for at the page: from pointer-up to the mask painted, and for the next image."""

import sys
import time
from collections.abc import Iterable

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.apart import new_label, open_next, service_apart, submit
from benchmarks.browser import Workplace, chromium
from models.prompts import Click, Scribble
from service.masks import encode_change

CONTEXT, SIZE = 64, 1024
IMAGES, STROKES = 12, 4
# Nobody draws faster; meanwhile the worker predicts the next images, as it does for a person.
THINKING_SECONDS = 0.3
# What is wanted: milliseconds p50 and p95, and p95; bytes of the replies with a whole mask of 2048 x 2048
# and with ten pixels of one.
REPLY_MS, OPEN_MS = (150.0, 300.0), 500.0
WHOLE_BYTES, TEN_PIXELS_BYTES = 64 * 1024, 2 * 1024
LARGE = 2048


def main() -> int:
    """Measure on the default installation; 1 when something takes longer than it may."""
    with service_apart() as service, chromium() as browser:
        with service.client() as client:
            label = new_label(client, CONTEXT + IMAGES + 1, size=SIZE)
            for _ in range(CONTEXT):
                submit(client, open_next(client, label))
        service.rest()
        workplace = Workplace.signed_in(browser, service.url, service.token)
        annotate(workplace, label)
        replies, openings = workplace.marks("reply")[STROKES:], workplace.marks("open")[1:]
        with service.client() as client:
            large = new_label(client, 1, size=LARGE)
            smallest, largest = smallest_reply(client, large), largest_reply(workplace, large)
    table = Table(
        title=f"{SIZE} x {SIZE}, {CONTEXT} images in the context, drawn by the processor; milliseconds"
    )
    for column in ("what a person waits for", "p50", "p95", "wanted"):
        table.add_column(column, justify="right" if column != "what a person waits for" else "left")
    table.add_row(
        "pointer up to the mask painted", *_spans(replies), f"{REPLY_MS[0]:.0f} / {REPLY_MS[1]:.0f}"
    )
    table.add_row("next image to its mask painted", *_spans(openings), f"p95 {OPEN_MS:.0f}")
    Console().print(table)
    print(
        f"the reply with a whole mask of {LARGE} x {LARGE}: {largest:,} bytes, at most {WHOLE_BYTES:,} wanted"
    )
    print(f"the reply with ten pixels of it: {smallest:,} bytes, at most {TEN_PIXELS_BYTES:,} wanted")
    p50, p95 = np.percentile(replies, [50, 95])
    late = p50 > REPLY_MS[0] or p95 > REPLY_MS[1] or np.percentile(openings, 95) > OPEN_MS
    return 1 if late or largest > WHOLE_BYTES or smallest > TEN_PIXELS_BYTES else 0


def annotate(workplace: Workplace, label: int) -> None:
    """Strokes on one image after the other; the page itself notes how long it takes. The first warms up."""
    rng = np.random.default_rng(0)
    workplace.open(label)
    for _ in range(IMAGES):
        workplace.ready()
        for _ in range(STROKES):
            time.sleep(THINKING_SECONDS)
            x, y = rng.uniform(0.3 * SIZE, 0.6 * SIZE, size=2)
            with workplace.noting("reply"):
                workplace.draw([Scribble([(x, y), (x + 0.1 * SIZE, y + 0.05 * SIZE)])])
            workplace.saved()
        with workplace.noting("open"):
            workplace.submit()


def largest_reply(workplace: Workplace, label: int) -> int:
    """Bytes over the wire of the largest answer to a click on an image of 2048 x 2048."""
    workplace.open(label)
    workplace.ready()
    with workplace.page.expect_response(lambda response: response.url.endswith("/interactions")) as answer:
        workplace.draw([Click(LARGE / 2, LARGE / 2)])
    return len(answer.value.body())


def smallest_reply(client: httpx.Client, label: int) -> int:
    """Bytes of the answer to ten pixels painted by hand on an image of 2048 x 2048."""
    nothing = np.zeros((LARGE, LARGE), dtype=np.bool_)
    painted = nothing.copy()
    painted[LARGE // 2, LARGE // 2 : LARGE // 2 + 10] = True
    edit = {"kind": "paint", "step": 0, "change": encode_change(nothing, painted)}
    opened = open_next(client, label)
    answer = client.post(f"/annotations/{opened.id}/edits", json=edit, headers=opened.lease)
    return len(answer.raise_for_status().content)


def _spans(milliseconds: Iterable[float]) -> tuple[str, str]:
    p50, p95 = np.percentile(list(milliseconds), [50, 95])
    return f"{p50:.0f}", f"{p95:.0f}"


if __name__ == "__main__":
    sys.exit(main())
