"""The page for reviewing in a real browser, from one image to the next by keyboard alone."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project, accept_next, another_person, told
from tests.web.conftest import Desk

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)


@pytest.fixture
def submitted(api: httpx.Client, service: ServiceUnderTest) -> AProject:
    """A label of which somebody else has submitted two images for review."""
    project = a_project(api)
    change = {"review_every": 1}
    etag = api.get(f"/projects/{project.id}").headers["etag"]
    told(api.patch(f"/projects/{project.id}", json=change, headers={"If-Match": etag}))
    with another_person(api, service.sessions) as annotator:
        for _ in range(2):
            assert accept_next(annotator, project.label_id, clicks=1)["state"] == "submitted"
    return project


def test_masks_are_compared_accepted_and_returned_by_keyboard_alone(
    desk: Desk, api: httpx.Client, submitted: AProject
) -> None:
    desk.open(f"/labels/{submitted.label_id}/review")
    views = desk.page.locator(".labels button")
    expect(views).to_have_count(2)
    desk.press("v")
    expect(views.nth(1)).to_have_attribute("aria-pressed", "true")
    desk.press("d")
    expect(desk.page.locator(".viewport")).to_have_count(2)
    desk.press("d")
    first = desk.page.locator(".where .name").inner_text()
    desk.press("Control+Enter")
    expect(desk.page.locator(".where .name")).not_to_have_text(first)
    desk.ready()

    desk.press("ArrowRight", "Enter", "Control+Backspace")
    dialog = desk.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Pinned at")
    desk.page.keyboard.type("the border is too wide")
    desk.press("Enter")
    expect(desk.page.get_by_text("Nothing waits for a review")).to_be_visible()

    found = told(api.get(f"/labels/{submitted.label_id}/annotations"))
    assert [each["state"] for each in found][:2] == ["accepted", "returned"]
    (remark,) = told(api.get(f"/annotations/{found[1]['id']}/comments"))
    assert remark["text"] == "the border is too wide"
    assert remark["x"] > 32


def test_a_reviewer_mends_the_mask_and_accepts_it_as_a_new_version(
    desk: Desk, api: httpx.Client, submitted: AProject
) -> None:
    desk.open(f"/labels/{submitted.label_id}/review")
    before, across = desk.hash, ((0.1, 0.1), (0.9, 0.9))
    desk.stroke(*across)
    assert desk.hash == before
    desk.press("i", "b")
    desk.stroke(*across)
    desk.painted(before)
    first = desk.page.locator(".where .name").inner_text()
    desk.press("Control+Enter")
    expect(desk.page.locator(".where .name")).not_to_have_text(first)
    found = told(api.get(f"/labels/{submitted.label_id}/annotations?state=accepted"))
    versions = told(api.get(f"/annotations/{found[0]['id']}/versions"))
    assert len({version["mask_digest"] for version in versions}) == 2
