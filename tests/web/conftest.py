"""The page in real browsers, against one running service: who is signed in, where, and what they see."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from benchmarks.browser import chromium
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project

VIEWPORT: ViewportSize = {"width": 1200, "height": 800}
# A busy machine is slow; only what never comes fails a test.
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with chromium() as browser:
        yield browser


def eventually(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until it is; the page's policy lets no test wait inside of it."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not become so"
        time.sleep(0.02)


def held_back(page: Page, path: str, method: str | None = None) -> list[Route]:
    """The page's requests to ``path`` from now on, of one method or of any, until they are let go on."""
    held: list[Route] = []
    page.route(
        path,
        lambda route: held.append(route) if method in (None, route.request.method) else route.continue_(),
    )
    return held


@dataclass(frozen=True)
class Desk:
    """The page for annotating, as the person before it uses it; positions are shares of the viewport."""

    page: Page

    def open(self, path: str) -> "Desk":
        self.page.goto(path)
        return self.ready()

    def ready(self) -> "Desk":
        """Wait until an image with its first mask is there and nothing is on its way."""
        expect(self.page.locator('[data-phase="working"]')).to_be_visible()
        expect(self.page.locator(".origin")).to_contain_text("Made ")
        return self.saved().quiet()

    def saved(self) -> "Desk":
        expect(self.page.locator('[data-state="saved"]')).to_be_visible()
        return self

    def quiet(self) -> "Desk":
        """Wait until all is saved and the model has nothing more to say."""
        eventually(lambda: not self.page.evaluate("accrue.busy()"))
        return self

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator(".viewport").first.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def stroke(self, *points: tuple[float, float], button: Any = "left") -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down(button=button)
        for point in points:
            self.page.mouse.move(*self.at(*point), steps=4)
        self.page.mouse.up(button=button)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def shown(self, x: float, y: float) -> tuple[float, float]:
        """The point of the image at a point of the viewport, in CSS pixels."""
        corner, other = self.page.evaluate("[accrue.place(0, 0), accrue.place(1, 1)]")
        scale = other["x"] - corner["x"]
        return (x - corner["x"]) / scale, (y - corner["y"]) / scale

    @property
    def hash(self) -> str:
        return str(self.page.evaluate("accrue.hash()"))

    @property
    def pixels(self) -> int:
        return int(self.page.evaluate("accrue.pixels()"))

    @property
    def prompts(self) -> int:
        return int(self.page.evaluate("accrue.prompts()"))

    def interactions(self, count: int) -> None:
        """Wait until the page says so many."""
        expect(self.page.locator(".count")).to_contain_text(f"{count} interaction")

    def painted(self, than: str) -> str:
        """Wait until the mask is another one; its hash."""
        eventually(lambda: self.hash != than)
        return self.hash


SignIn = Callable[..., BrowserContext]


@pytest.fixture
def sign_in(browser: Browser, service: ServiceUnderTest) -> Iterator[SignIn]:
    """A browser of its own in which somebody is signed in, by default the admin."""
    contexts: list[BrowserContext] = []

    def enter(token: str | None = None, **options: Any) -> BrowserContext:
        context = browser.new_context(base_url=service.base_url, viewport=VIEWPORT, **options)
        contexts.append(context)
        headers = {"Origin": service.base_url}
        answer = context.request.post(
            "/api/auth/token", data={"token": token or service.token}, headers=headers
        )
        assert answer.ok, answer.text()
        return context

    yield enter
    for context in contexts:
        context.close()


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    """The admin's page."""
    return sign_in().new_page()


@pytest.fixture
def desk(sign_in: SignIn) -> Iterator[Desk]:
    """The admin's page; an exception in it fails the test."""
    page = sign_in().new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield Desk(page)
    assert trouble == []


@pytest.fixture
def project(api: httpx.Client) -> AProject:
    """A label with three images and nothing accepted."""
    return a_project(api)


@pytest.fixture
def drawing(desk: Desk, project: AProject) -> Desk:
    """The first of them, open."""
    return desk.open(f"/labels/{project.label_id}/annotate")
