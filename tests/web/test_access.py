"""The pages with an image for everybody: no fault that axe finds, enlarged to twice, without motion."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, ViewportSize, expect

from service.tables import Role
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project, accept_next, review_all, told
from tests.web.axe import faults
from tests.web.conftest import Desk, SignIn
from tests.web.people import a_person, end_login

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)

Faults = dict[str, list[tuple[str, str]]]
# A page of 1440 x 900 that is enlarged to 200 % has so much room.
HALF: ViewportSize = {"width": 720, "height": 450}


@pytest.fixture
def returned(api: httpx.Client, service: ServiceUnderTest) -> AProject:
    """Of two images one came back to the admin, with a remark pinned to it, and one waits for a review."""
    project = a_project(api)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "cup"}), 201)
    review_all(api, project)
    accept_next(api, project.label_id, clicks=1)
    reviewer, author = (a_person(service, project.id, role) for role in (Role.REVIEWER, Role.ANNOTATOR))
    with service.client(reviewer.token) as client:
        opened = told(client.post(f"/labels/{project.label_id}/review/next"))
        annotation = opened["annotation"]
        headers = {"Lease-Token": opened["lease"]["token"], "If-Match": f'"{annotation["version"]}"'}
        why = {"reason": "too wide", "remark": "the border is here", "at": [40, 20]}
        told(client.post(f"/annotations/{annotation['id']}/return", json=why, headers=headers))
    with service.client(author.token) as client:
        accept_next(client, project.label_id, clicks=1)
    return project


def shown(page: Page, key: str, title: str) -> list[tuple[str, str]]:
    """What axe finds with the dialog open that a key opens."""
    page.keyboard.press(key)
    page.get_by_role("dialog", name=title).wait_for()
    found = faults(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    return found


def take_away(api: httpx.Client, project: AProject) -> None:
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    assert api.post(f"/annotations/{held['id']}/revoke").status_code == 204


def changed_elsewhere(page: Page, change: Callable[[], None]) -> Faults:
    """What axe finds in the dialogs of who lost an image to somebody who changed it."""
    page.get_by_role("dialog", name="in other hands").wait_for()
    found = {"lost": faults(page)}
    change()
    page.get_by_role("button", name="Take it again").click()
    page.get_by_role("dialog", name="changed elsewhere").wait_for()
    page.get_by_role("button", name="Take theirs").wait_for()
    found["conflict"] = faults(page)
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_annotating_has_no_fault_that_axe_finds(
    sign_in: SignIn, api: httpx.Client, returned: AProject, scheme: str
) -> None:
    page = sign_in(color_scheme=scheme, reduced_motion="reduce").new_page()
    desk = Desk(page).open(f"/labels/{returned.label_id}/annotate")
    expect(page.get_by_role("region", name="Comments")).to_contain_text("the border is here")
    found = {"page": faults(page)}
    dialogs = (("x", "Skip"), ("m", "Flag"), ("c", "Comments"), ("?", "Keys"))
    found |= {title: shown(page, key, title) for key, title in dialogs}
    desk.press("s")
    page.keyboard.down("Control")
    desk.stroke((0.4, 0.4), (0.5, 0.5))
    found["held back"] = faults(page)
    page.keyboard.up("Control")
    desk.quiet()
    (held,) = told(api.get(f"/labels/{returned.label_id}/annotations?held=true"))
    take_away(api, returned)

    def change() -> None:
        opened = told(api.post(f"/annotations/{held['id']}/open"))
        headers = {"Lease-Token": opened["lease"]["token"]}
        step = opened["annotation"]["step"]
        told(
            api.post(
                f"/annotations/{held['id']}/edits", json={"kind": "smooth", "step": step}, headers=headers
            ),
            201,
        )

    found |= changed_elsewhere(page, change)
    end_login(page)
    desk.press("b")
    desk.stroke((0.2, 0.2), (0.25, 0.25))
    page.get_by_role("dialog", name="Sign in").wait_for()
    found["sign in"] = faults(page)
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reviewing_has_no_fault_that_axe_finds(
    sign_in: SignIn, api: httpx.Client, returned: AProject, scheme: str
) -> None:
    page = sign_in(color_scheme=scheme, reduced_motion="reduce").new_page()
    desk = Desk(page).open(f"/labels/{returned.label_id}/review")
    found = {"page": faults(page)}
    desk.press("d")
    expect(page.locator(".viewport")).to_have_count(2)
    found["side by side"] = faults(page)
    desk.press("d", "i")
    found["editing"] = faults(page)
    desk.press("i")
    found |= {title: shown(page, key, title) for key, title in (("c", "Comments"), ("?", "Keys"))}
    desk.press("Control+Backspace")
    dialog = page.get_by_role("dialog", name="Return to its author")
    found["return"] = faults(page)
    dialog.get_by_role("button", name="Pin it to the image").click()
    found["placing"] = faults(page)
    desk.press("Escape")
    dialog.get_by_role("button", name="Cancel").click()
    take_away(api, returned)
    page.get_by_role("dialog", name="in other hands").wait_for()
    found["lost"] = faults(page)
    page.get_by_role("button", name="Take it again").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    desk.press("Control+Enter")
    page.get_by_text("Nothing waits for a review").wait_for()
    found["empty"] = faults(page)
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("part", ["annotate", "review"])
def test_enlarged_to_twice_all_is_within_reach(sign_in: SignIn, returned: AProject, part: str) -> None:
    page = sign_in().new_page()
    page.set_viewport_size(HALF)
    desk = Desk(page).open(f"/labels/{returned.label_id}/{part}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= HALF["width"], "nothing has to be scrolled sideways"
    box = page.locator(".viewport").bounding_box()
    assert box is not None
    assert box["width"] > 500
    assert box["height"] > 180
    for button in page.locator("button:visible").all():
        button.scroll_into_view_if_needed()
        expect(button).to_be_in_viewport(ratio=0.9)
    desk.press("c")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    dialog.get_by_role("button", name="Close").click()
    assert faults(page) == []


@pytest.mark.parametrize("part", ["annotate", "review"])
def test_who_wants_no_motion_sees_none(sign_in: SignIn, returned: AProject, part: str) -> None:
    page = sign_in(reduced_motion="reduce").new_page()
    Desk(page).open(f"/labels/{returned.label_id}/{part}")
    longest = """() => Math.max(...[...document.querySelectorAll("*")].flatMap((it) => {
        const { transitionDuration, animationDuration } = getComputedStyle(it);
        return [transitionDuration, animationDuration].flatMap((all) => all.split(",")).map(parseFloat);
    }))"""
    assert page.evaluate(longest) < 0.01
