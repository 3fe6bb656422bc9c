"""The page for reviewing in a real browser, from one image to the next by keyboard alone."""

from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Locator, Route, expect

from service.tables import Role
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project, accept_next, review_all, told
from tests.web.conftest import Desk, SignIn, eventually
from tests.web.people import Person, a_person, end_login, sign_in_again

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)


@dataclass(frozen=True)
class Submitted(AProject):
    """A label of which somebody has submitted two images for review."""

    author: Person


@pytest.fixture
def submitted(api: httpx.Client, service: ServiceUnderTest) -> Submitted:
    project = a_project(api)
    review_all(api, project)
    author = a_person(service, project.id, Role.ANNOTATOR)
    with service.client(author.token) as annotator:
        for _ in range(2):
            assert accept_next(annotator, project.label_id, clicks=1)["state"] == "submitted"
    return Submitted(project.id, project.label_id, project.image_ids, author)


@pytest.fixture
def reviewing(desk: Desk, submitted: Submitted) -> Desk:
    """The first of them, open for a review."""
    return desk.open(f"/labels/{submitted.label_id}/review")


def name(desk: Desk) -> Locator:
    return desk.page.locator(".where .name")


def states(api: httpx.Client, project: AProject) -> list[str]:
    return [each["state"] for each in told(api.get(f"/labels/{project.label_id}/annotations"))]


def test_masks_are_compared_accepted_and_returned_by_keyboard_alone(
    desk: Desk, api: httpx.Client, submitted: Submitted
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
    desk: Desk, api: httpx.Client, submitted: Submitted
) -> None:
    desk.open(f"/labels/{submitted.label_id}/review")
    before, across = desk.hash, ((0.1, 0.1), (0.9, 0.9))
    desk.stroke(*across)
    assert desk.hash == before
    desk.page.locator(".viewport").evaluate("viewport => { viewport.dataset.before = 'yes' }")
    desk.press("i", "i", "i", "b")
    expect(desk.page.locator(".viewport")).to_have_attribute("data-before", "yes")
    desk.stroke(*across)
    desk.painted(before)
    first = desk.page.locator(".where .name").inner_text()
    desk.press("Control+Enter")
    expect(desk.page.locator(".where .name")).not_to_have_text(first)
    found = told(api.get(f"/labels/{submitted.label_id}/annotations?state=accepted"))
    versions = told(api.get(f"/annotations/{found[0]['id']}/versions"))
    assert len({version["mask_digest"] for version in versions}) == 2


def test_the_second_of_two_quick_clicks_does_not_accept_the_next_mask(
    reviewing: Desk, api: httpx.Client, submitted: Submitted
) -> None:
    first = name(reviewing).inner_text()
    reviewing.page.get_by_role("button", name="Accept and next").click()
    expect(name(reviewing)).not_to_have_text(first)
    reviewing.ready()
    reviewing.page.mouse.down(click_count=2)
    reviewing.page.mouse.up(click_count=2)
    reviewing.quiet()
    assert states(api, submitted)[:2] == ["accepted", "submitted"]


def test_who_edits_and_chooses_another_mask_edits_no_longer(reviewing: Desk) -> None:
    before = reviewing.hash
    expect(reviewing.page.locator(".labels button")).to_have_count(2)
    reviewing.press("i", "b", "v")
    expect(reviewing.page.locator(".labels button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(reviewing.page.get_by_text("You are editing")).to_have_count(0)
    reviewing.stroke((0.1, 0.1), (0.9, 0.9))
    reviewing.press("d", "i")
    expect(reviewing.page.get_by_text("You are editing")).to_be_visible()
    assert reviewing.hash == before


def test_two_images_side_by_side_are_seen_through_the_same_window(reviewing: Desk) -> None:
    middle = "it => it.getContext('2d').getImageData(it.width / 2, it.height / 2, 1, 1).data[0]"
    images = reviewing.page.locator(".layer-image")

    def bright() -> list[bool]:
        return [image.evaluate(middle) > 128 for image in images.all()]

    reviewing.page.get_by_label("Invert").check()
    reviewing.press("d")
    eventually(lambda: bright() == [False, False])
    reviewing.page.get_by_label("Invert").uncheck()
    eventually(lambda: bright() == [True, True])


def test_the_masks_to_compare_are_those_of_the_image_that_is_shown(reviewing: Desk) -> None:
    page, held = reviewing.page, list[Route]()
    page.route("**/versions", lambda route: held.append(route), times=1)
    with page.expect_request("**/versions"):
        page.reload()
    first = name(reviewing).inner_text()
    reviewing.press("Control+Enter")
    expect(name(reviewing)).not_to_have_text(first)
    views = page.locator(".labels button")
    expect(views).to_have_count(2)
    with page.expect_response("**/versions"):
        held[0].fulfill(json=[])
    page.wait_for_load_state("networkidle")
    expect(views).to_have_count(2)


def test_a_place_that_is_pinned_by_keyboard_holds_no_decision_up(reviewing: Desk) -> None:
    first = name(reviewing).inner_text()
    reviewing.press("ArrowRight", "Enter", "Control+Enter")
    expect(name(reviewing)).not_to_have_text(first)


@pytest.mark.parametrize("by", ["pointer", "keyboard"])
def test_a_remark_is_pinned_while_it_is_written(
    reviewing: Desk, api: httpx.Client, submitted: Submitted, by: str
) -> None:
    reviewing.press("Control+Backspace")
    dialog = reviewing.page.get_by_role("dialog", name="Return to its author")
    dialog.get_by_label("Why?").fill("too wide")
    dialog.get_by_label("Remark").fill("the border is here")
    if by == "pointer":
        dialog.get_by_role("button", name="Pin it to the image").click()
        expect(dialog).to_have_count(0)
        reviewing.stroke((0.75, 0.5))
    else:
        dialog.get_by_role("button", name="Pin it to the image").press("Enter")
        expect(dialog).to_have_count(0)
        reviewing.press(*["ArrowRight"] * 20, "Enter")
    expect(dialog).to_contain_text("Pinned at")
    expect(dialog.get_by_label("Remark")).to_have_value("the border is here")
    first = name(reviewing).inner_text()
    dialog.get_by_role("button", name="Return and next").press("Enter")
    expect(name(reviewing)).not_to_have_text(first)
    (returned,) = told(api.get(f"/labels/{submitted.label_id}/annotations?state=returned"))
    (remark,) = told(api.get(f"/annotations/{returned['id']}/comments"))
    assert (remark["text"], remark["x"] > 40) == ("the border is here", True)


def test_its_author_sees_why_it_came_back_and_where_and_answers(
    reviewing: Desk, api: httpx.Client, submitted: Submitted, sign_in: SignIn
) -> None:
    reviewing.stroke((0.7, 0.4))
    reviewing.press("Control+Backspace")
    expect(reviewing.page.get_by_role("dialog")).to_be_visible()
    reviewing.page.keyboard.type("the border is too wide")
    first = name(reviewing).inner_text()
    reviewing.press("Enter")
    expect(name(reviewing)).not_to_have_text(first)
    theirs = Desk(sign_in(submitted.author.token).new_page())
    theirs.open(f"/labels/{submitted.label_id}/annotate")
    talk = theirs.page.get_by_role("region", name="Comments")
    expect(talk).to_contain_text("Returned by accrue")
    expect(talk).to_contain_text("the border is too wide")
    yellow = """it => {
        const { data } = it.getContext("2d").getImageData(0, 0, it.width, it.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4)
            count += data[i] > 180 && data[i + 1] > 160 && data[i + 2] < 100;
        return count;
    }"""
    marks = theirs.page.locator(".layer-marks")
    eventually(lambda: marks.evaluate(yellow) > 100)
    x, y = theirs.shown(0, 0)
    talk.get_by_role("button", name="Show pin 1").click()
    assert theirs.shown(0, 0) != (x, y)
    talk.get_by_role("button", name="Answer").click()
    theirs.page.get_by_role("textbox", name="Comment").fill("it is a vessel")
    theirs.page.get_by_role("button", name="Add").click()
    expect(theirs.page.get_by_role("dialog")).to_contain_text("it is a vessel")
    theirs.press("Escape")
    expect(talk).to_contain_text("it is a vessel")
    theirs.press("0", "b")
    before = theirs.hash
    theirs.stroke((0.1, 0.1), (0.9, 0.9))
    theirs.painted(before)
    theirs.saved()
    first = name(theirs).inner_text()
    theirs.press("Control+Enter")
    expect(name(theirs)).not_to_have_text(first)
    assert states(api, submitted)[:2] == ["submitted", "submitted"]


def test_a_reviewer_who_loses_the_lease_takes_it_again_and_nothing_written_is_lost(
    reviewing: Desk, api: httpx.Client, submitted: Submitted
) -> None:
    reviewing.press("Control+Backspace")
    expect(reviewing.page.get_by_role("dialog")).to_be_visible()
    reviewing.page.keyboard.type("too wide")
    (held,) = told(api.get(f"/labels/{submitted.label_id}/annotations?held=true"))
    assert api.post(f"/annotations/{held['id']}/revoke").status_code == 204
    lost = reviewing.page.get_by_role("dialog", name="in other hands")
    lost.get_by_role("button", name="Take it again").click()
    expect(lost).to_have_count(0)
    written = reviewing.page.get_by_role("dialog", name="Return to its author")
    expect(written.get_by_label("Why?")).to_have_value("too wide")
    written.get_by_role("button", name="Return and next").click()
    expect(name(reviewing)).not_to_have_text(held["image"])
    assert states(api, submitted)[:2] == ["returned", "submitted"]


def test_a_decision_about_a_mask_that_changed_meanwhile_waits_for_which_one_stays(
    sign_in: SignIn, api: httpx.Client, submitted: Submitted
) -> None:
    context = sign_in()
    first, second = (Desk(context.new_page()).open(f"/labels/{submitted.label_id}/review") for _ in range(2))
    second.press("i", "b")
    before = second.hash
    second.stroke((0.1, 0.1), (0.9, 0.9))
    second.painted(before)
    second.saved()
    image = name(first).inner_text()
    first.page.bring_to_front()
    first.press("Control+Enter")
    first.page.get_by_role("button", name="Take it again").click()
    conflict = first.page.get_by_role("dialog", name="It was changed elsewhere")
    conflict.get_by_role("button", name="Keep mine").click()
    expect(name(first)).not_to_have_text(image)
    (accepted,) = told(api.get(f"/labels/{submitted.label_id}/annotations?state=accepted"))
    assert accepted["image"] == image
    *_, kept = told(api.get(f"/annotations/{accepted['id']}/versions"))
    (submission,) = {each["mask_digest"] for each in told(api.get(f"/annotations/{accepted['id']}/versions"))}
    assert kept["mask_digest"] == submission, "what was seen and accepted is what was submitted"


def test_a_reviewer_whose_login_has_ended_signs_in_in_place_and_the_decision_stands(
    sign_in: SignIn, api: httpx.Client, submitted: Submitted, service: ServiceUnderTest
) -> None:
    context = sign_in(a_person(service, submitted.id, Role.REVIEWER).token)
    reviewing = Desk(context.new_page()).open(f"/labels/{submitted.label_id}/review")
    image = name(reviewing).inner_text()
    end_login(reviewing.page)
    reviewing.press("Control+Enter")
    sign_in_again(reviewing.page)
    expect(name(reviewing)).not_to_have_text(image)
    assert states(api, submitted)[:2] == ["accepted", "submitted"]
