"""Chromium, and in it the page for annotating as somebody with a mouse uses it."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from models.prompts import Box, Prompt, anchor_points

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
KEYS = {"click": "p", "scribble": "s", "box": "r"}
PATIENCE_S = 60
STEPS = 6  # moves of the pointer from one point of a stroke to the next

Button = Literal["left", "right"]


@contextmanager
def chromium() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("This needs Chromium on the PATH (on Debian: apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Workplace:
    """The page for annotating; points are in image pixels."""

    page: Page

    @classmethod
    def signed_in(cls, browser: Browser, url: str, token: str) -> "Workplace":
        context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
        answer = context.request.post("/api/auth/token", data={"token": token}, headers={"Origin": url})
        assert answer.ok, answer.text()
        return cls(context.new_page())

    def open(self, label_id: int) -> None:
        self.page.goto(f"/labels/{label_id}/annotate")

    def ready(self) -> None:
        """Wait until an image is there with its first mask, and all that was done is saved."""
        self.page.locator('[data-phase="working"]').wait_for()
        self.page.locator(".origin", has_text="Made ").wait_for()
        self.saved()

    def saved(self) -> None:
        self.page.locator('[data-state="saved"]').wait_for()

    def draw(self, prompts: Sequence[Prompt]) -> None:
        """One interaction, of prompts of one kind: several are drawn with Ctrl held, and sent together."""
        self.page.keyboard.press(KEYS[prompts[0].kind])
        if len(prompts) > 1:
            self.page.keyboard.down("Control")
        for prompt in prompts:
            positive = isinstance(prompt, Box) or prompt.positive
            self._drag(anchor_points(prompt), button="left" if positive else "right")
        if len(prompts) > 1:
            self.page.keyboard.up("Control")

    def _drag(self, points: Sequence[tuple[float, float]], *, button: Button) -> None:
        mouse, (first, *rest) = self.page.mouse, [self.place(*point) for point in points]
        mouse.move(*first)
        mouse.down(button=button)
        for point in rest:
            mouse.move(*point, steps=STEPS)
        mouse.up(button=button)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the point of the image is in the window, in CSS pixels."""
        box = self.page.locator(".viewport").bounding_box()
        inside = self.page.evaluate("([x, y]) => accrue.place(x, y)", [x, y])
        assert box is not None and inside is not None, "there is no image on the page"
        return box["x"] + inside["x"], box["y"] + inside["y"]

    def marks(self, name: str) -> list[float]:
        """Milliseconds that the page has noted: of every ``move``, ``reply`` or ``open``."""
        found: list[float] = self.page.evaluate("name => accrue.marks[name]", name)
        return found

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Wait until what is done inside has been noted once more under this name."""
        before, end = len(self.marks(name)), time.monotonic() + PATIENCE_S
        yield
        while len(self.marks(name)) == before:
            if time.monotonic() > end:
                raise TimeoutError(f"the page noted no {name} in {PATIENCE_S} s")
            time.sleep(0.005)

    def submit(self) -> None:
        self.page.keyboard.press("Control+Enter")
