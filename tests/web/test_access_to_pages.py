"""The pages around the canvas for whoever sees little, has no mouse, or has a small window."""

import httpx
import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.factories import a_project, accept_next, told
from tests.web.axe import faults
from tests.web.conftest import SignIn

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)

PARTS = ("", "/images", "/dashboard", "/context", "/people", "/exports", "/settings", "/audit")
WHOLE: ViewportSize = {"width": 1440, "height": 900}
ENLARGED: ViewportSize = {"width": 720, "height": 450}  # the same window at 200 %
NARROW: ViewportSize = {"width": 320, "height": 640}


def addresses(api: httpx.Client) -> list[str]:
    """Every page, of a project that is worked on and of one that is empty."""
    worked, empty = a_project(api), a_project(api, images=0)
    accept_next(api, worked.label_id, clicks=2)
    told(api.post(f"/projects/{worked.id}/invitations", json={"role": "viewer"}), 201)
    parts = [f"/projects/{project.id}{part}" for project in (worked, empty) for part in PARTS]
    return ["/", "/new", "/account", "/nowhere", *parts]


def arrived(page: Page, path: str) -> None:
    page.goto(path, wait_until="load")
    page.get_by_role("heading").first.wait_for()
    expect(page.locator(".loading")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WHOLE), ("dark", ENLARGED)])
def test_no_page_has_a_fault_that_axe_finds(
    sign_in: SignIn, api: httpx.Client, scheme: str, viewport: ViewportSize
) -> None:
    page = sign_in(color_scheme=scheme).new_page()
    page.set_viewport_size(viewport)
    trouble: list[str] = []
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    found = {}
    for path in addresses(api):
        arrived(page, path)
        found[path] = faults(page)
        for removal in page.locator("button.danger[aria-label]:enabled").all()[:1]:
            removal.click()
            page.get_by_role("dialog").wait_for()
            found[f"{path}, asked"] = faults(page)
            page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    found["keys"] = faults(page)
    assert len([name for name in found if name.endswith("asked")]) >= 4
    assert {path: each for path, each in found.items() if each} == {}
    assert trouble == []


@pytest.mark.parametrize("viewport", [ENLARGED, NARROW])
def test_no_page_scrolls_sideways_when_it_is_enlarged(
    page: Page, api: httpx.Client, viewport: ViewportSize
) -> None:
    page.set_viewport_size(viewport)
    beyond = {}
    for path in addresses(api):
        arrived(page, path)
        beyond[path] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert {path: by for path, by in beyond.items() if by > 0} == {}


SEEN = """() => {
  const [at, style] = [document.activeElement, getComputedStyle(document.activeElement)];
  const box = at.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return at === document.body || style.outlineStyle !== "none" && (at.contains(top) || !!top?.contains(at));
}"""


def go_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Reach it by keyboard alone; every stop on the way is seen, with a ring around it."""
    target.wait_for()
    for _ in range(80):
        page.keyboard.press(key)
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {key}")


def test_a_project_is_made_looked_at_changed_and_left_by_keyboard_alone(page: Page) -> None:
    page.set_viewport_size(ENLARGED)
    arrived(page, "/")
    keys = page.keyboard
    go_to(page, page.get_by_role("link", name="New project"))
    keys.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    keys.type("By keyboard")
    go_to(page, page.get_by_label("Labels"))
    keys.type("disc, rim")
    go_to(page, page.get_by_label("Make an invitation link"))
    keys.press("Space")
    keys.press("Enter")
    expect(page.locator("output")).to_contain_text("#invitation=")
    go_to(page, page.get_by_role("link", name="Open the project"))
    keys.press("Enter")
    for part in ("Images", "Dashboard", "Context", "People", "Exports", "Audit", "Settings"):
        link = page.get_by_role("link", name=part, exact=True)
        go_to(page, link, "Shift+Tab" if part == "Settings" else "Tab")
        keys.press("Enter")
        expect(link).to_have_attribute("aria-current", "page")
        expect(link).to_be_focused()
    go_to(page, page.get_by_label("Review every n-th image"))
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    go_to(page, page.get_by_role("button", name="Remove rim"))
    keys.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    go_to(page, page.get_by_role("dialog").get_by_role("button", name="Remove"), "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_label("Name of rim")).to_have_count(0)
    expect(page.get_by_label("Name of disc")).to_have_count(1)
    keys.press("Alt+p")
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
