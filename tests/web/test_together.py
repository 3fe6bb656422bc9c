"""Two browsers at once, and a model that is away: who has the image, whose mask stays, nothing lost."""

import os
import signal
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from service.tables import Role
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, another_person, open_next, told
from tests.web.conftest import Desk, SignIn, eventually
from tests.web.people import a_person, sign_in_again

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)

STROKE = ((0.45, 0.5), (0.5, 0.52), (0.55, 0.5))
CORNER = ((0.2, 0.2), (0.25, 0.25))


def image(desk: Desk) -> str:
    return desk.page.locator(".where .name").inner_text()


def test_what_one_browser_has_open_is_refused_to_the_other(
    drawing: Desk, api: httpx.Client, project: AProject, sign_in: SignIn, service: ServiceUnderTest
) -> None:
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    person = a_person(service, project.id, Role.ANNOTATOR)
    other = Desk(sign_in(person.token).new_page())
    other.page.goto(f"/annotations/{held['id']}")
    expect(other.page.get_by_text("Somebody else is working on this annotation")).to_be_visible()
    other.open(f"/labels/{project.label_id}/annotate")
    assert image(other) != image(drawing)


def test_a_managers_release_shows_at_once_and_the_work_is_kept(
    drawing: Desk, project: AProject, sign_in: SignIn, service: ServiceUnderTest
) -> None:
    person = a_person(service, project.id, Role.ANNOTATOR)
    theirs = Desk(sign_in(person.token).new_page()).open(f"/labels/{project.label_id}/annotate")
    theirs.press("b")
    theirs.stroke(*CORNER)
    theirs.saved()
    manager = drawing.page
    manager.goto(f"/projects/{project.id}/images")
    tile = manager.locator(".tile", has_text=person.name)
    tile.get_by_role("button", name="Take it back").click()
    lost = theirs.page.get_by_role("dialog", name="in other hands")
    expect(lost).to_be_visible()
    drawn = theirs.hash
    lost.get_by_role("button", name="Take it again").click()
    expect(lost).to_have_count(0)
    theirs.stroke(*STROKE)
    both = theirs.painted(drawn)
    theirs.saved()
    theirs.page.reload()
    theirs.ready()
    assert theirs.hash == both


def test_who_loses_the_lease_is_told_and_takes_it_again_without_loss(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    assert api.post(f"/annotations/{held['id']}/revoke").status_code == 204
    expect(drawing.page.get_by_role("dialog", name="in other hands")).to_be_visible()
    drawing.page.get_by_role("button", name="Take it again").click()
    expect(drawing.page.get_by_role("dialog")).to_have_count(0)
    drawing.press("b")
    before = drawing.hash
    drawing.stroke(*CORNER)
    drawing.painted(before)
    drawing.saved()


def test_of_two_people_one_keeps_the_image_and_the_other_goes_on_with_the_next(
    drawing: Desk, api: httpx.Client, project: AProject, service: ServiceUnderTest
) -> None:
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    assert api.post(f"/annotations/{held['id']}/revoke").status_code == 204
    with another_person(api, service.sessions) as other:
        assert open_next(other, project.label_id).id == held["id"]
        drawing.page.get_by_role("button", name="Take it again").click()
        expect(drawing.page.get_by_role("dialog")).to_contain_text("Somebody else is working on this")
        drawing.page.get_by_role("button", name="Go on with the next").click()
        expect(drawing.page.locator(".where .name")).not_to_have_text(held["image"])
        drawing.ready()


def test_who_cannot_go_on_with_the_next_is_told_and_tries_again(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    assert api.post(f"/annotations/{held['id']}/revoke").status_code == 204
    drawing.page.route("**/next", lambda route: route.fulfill(status=503, json={"detail": "Not now."}))
    drawing.page.get_by_role("button", name="Go on with the next").click()
    expect(drawing.page.get_by_text("Not now.")).to_be_visible()
    drawing.page.unroute("**/next")
    drawing.page.get_by_role("button", name="Look again").click()
    expect(drawing.page.get_by_role("dialog")).to_have_count(0)
    drawing.ready()


def two_tabs(sign_in: SignIn, project: AProject) -> tuple[Desk, Desk]:
    """The same image in two tabs of one browser: the second took the lease, and painted."""
    context = sign_in()
    first = Desk(context.new_page()).open(f"/labels/{project.label_id}/annotate")
    second = Desk(context.new_page()).open(f"/labels/{project.label_id}/annotate")
    second.press("b")
    second.stroke(*STROKE)
    second.saved()
    return first, second


def taken_again(desk: Desk) -> Page:
    """Who lost the lease takes it again, and finds that another mask is there."""
    desk.page.get_by_role("button", name="Take it again").click()
    expect(desk.page.get_by_role("dialog", name="It was changed elsewhere")).to_be_visible()
    return desk.page


@pytest.mark.parametrize("choice", ["Keep mine", "Take theirs"])
def test_of_two_masks_drawn_in_two_tabs_the_chosen_one_stays(
    sign_in: SignIn, project: AProject, choice: str
) -> None:
    first, second = two_tabs(sign_in, project)
    theirs = second.hash
    first.page.bring_to_front()
    first.press("b")
    first.stroke(*CORNER)
    mine = first.hash
    assert mine != theirs
    taken_again(first).get_by_role("button", name=choice).click()
    expect(first.page.get_by_role("dialog")).to_have_count(0)
    first.saved()
    stays = mine if choice == "Keep mine" else theirs
    assert first.hash == stays
    first.page.reload()
    first.ready()
    assert first.hash == stays


def test_what_was_to_be_submitted_goes_out_once_it_is_decided_whose_mask_stays(
    sign_in: SignIn, project: AProject, api: httpx.Client
) -> None:
    first, second = two_tabs(sign_in, project)
    name, mine = image(first), first.pixels
    assert mine != second.pixels
    first.page.bring_to_front()
    first.press("Control+Enter")
    taken_again(first).get_by_role("button", name="Keep mine").click()
    expect(first.page.locator(".where .name")).not_to_have_text(name)
    (accepted,) = told(api.get(f"/labels/{project.label_id}/annotations?state=accepted"))
    assert accepted["image"] == name


def test_an_image_that_is_done_elsewhere_says_so_and_leads_on(sign_in: SignIn, project: AProject) -> None:
    context = sign_in()
    first = Desk(context.new_page()).open(f"/labels/{project.label_id}/annotate")
    name = image(first)
    context.set_offline(True)
    first.press("b")
    first.stroke(*CORNER)
    expect(first.page.locator('[data-state="offline"]')).to_be_visible()
    headers = {"Origin": first.page.url.split("/labels")[0]}
    place = f"/api/labels/{project.label_id}/next"
    opened = context.request.post(place, headers=headers).json()
    annotation = opened["annotation"]
    version = {"If-Match": f'"{annotation["version"]}"', "Lease-Token": opened["lease"]["token"]}
    answer = context.request.post(f"/api/annotations/{annotation['id']}/submit", headers=headers | version)
    assert answer.ok, answer.text()
    context.set_offline(False)
    go_on = first.page.get_by_role("dialog").get_by_role("button", name="Go on with the next")
    expect(go_on).to_be_visible()
    go_on.click()
    expect(first.page.locator(".where .name")).not_to_have_text(name)


def test_who_signs_in_again_in_place_goes_on_where_they_were(
    sign_in: SignIn, project: AProject, service: ServiceUnderTest
) -> None:
    person = a_person(service, project.id, Role.ANNOTATOR)
    context = sign_in(person.token)
    theirs = Desk(context.new_page()).open(f"/labels/{project.label_id}/annotate")
    context.clear_cookies()
    theirs.press("b")
    theirs.stroke(*CORNER)
    drawn = theirs.hash
    sign_in_again(theirs.page)
    theirs.saved()
    theirs.stroke(*STROKE)
    both = theirs.painted(drawn)
    theirs.saved()
    theirs.page.reload()
    theirs.ready()
    assert theirs.hash == both


@pytest.fixture
def hung(service: ServiceUnderTest) -> Iterator[None]:
    """The worker is stopped where it is, as if it hung; it goes on afterwards."""
    pid = service.running.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def test_without_the_model_people_paint_and_submit(drawing: Desk, hung: None) -> None:
    drawing.press("s")
    drawing.stroke(*STROKE)
    expect(drawing.page.get_by_text("The model has not answered yet")).to_be_visible()
    drawing.press("b")
    before = drawing.hash
    drawing.stroke(*CORNER)
    assert drawing.hash != before
    drawing.saved()
    name = image(drawing)
    drawing.press("Control+Enter")
    expect(drawing.page.locator(".where .name")).not_to_have_text(name)


def test_a_notice_that_comes_while_somebody_draws_moves_nothing(drawing: Desk, hung: None) -> None:
    notice = drawing.page.get_by_text("The model has not answered yet")
    mouse, viewport = drawing.page.mouse, drawing.page.locator(".viewport")
    drawing.press("s")
    drawing.stroke(*STROKE)
    drawing.press("b")
    before, place = drawing.hash, viewport.bounding_box()

    def draw(wait: bool) -> str:
        mouse.move(*drawing.at(0.2, 0.2))
        mouse.down()
        mouse.move(*drawing.at(0.25, 0.2))
        if wait:
            expect(notice).to_be_visible()
        assert viewport.bounding_box() == place
        mouse.move(*drawing.at(0.3, 0.2))
        mouse.up()
        return drawing.painted(before)

    drawn = draw(wait=True)
    expect(notice).to_have_count(0)
    drawing.press("Control+z")
    assert drawing.hash == before
    assert draw(wait=False) == drawn


def test_a_model_that_is_killed_is_missed_and_its_mask_comes_when_it_is_back(
    drawing: Desk, service: ServiceUnderTest
) -> None:
    pid = service.running.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: service.running.worker.pid not in (None, pid), seconds=90)
    again = service.running.worker.pid
    assert again is not None
    os.kill(again, signal.SIGSTOP)  # else it may be back before anybody misses it
    drawing.press("b")
    before = drawing.hash
    drawing.stroke(*CORNER)
    painted = drawing.painted(before)
    drawing.press("s")
    drawing.stroke(*STROKE)
    message = drawing.page.get_by_text("The model has not answered yet")
    expect(message).to_be_visible()
    os.kill(again, signal.SIGCONT)
    eventually(lambda: drawing.hash != painted, seconds=90)
    expect(message).to_have_count(0)
    drawing.interactions(2)
    drawing.saved()
    assert service.running.worker.pid == again


def test_what_is_submitted_offline_goes_out_when_the_line_is_back(
    drawing: Desk, project: AProject, api: httpx.Client
) -> None:
    name = image(drawing)
    drawing.page.context.set_offline(True)
    drawing.press("b")
    drawing.stroke(*CORNER)
    drawing.press("Control+Enter")
    expect(drawing.page.get_by_text("This goes out as soon as")).to_be_visible()
    drawn = drawing.hash
    drawing.stroke(*STROKE)
    assert drawing.hash == drawn, "what has been submitted is not painted on"
    drawing.page.context.set_offline(False)
    expect(drawing.page.locator(".where .name")).not_to_have_text(name)
    (accepted,) = told(api.get(f"/labels/{project.label_id}/annotations?state=accepted"))
    assert accepted["image"] == name
