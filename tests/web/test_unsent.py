"""What the service has not got yet arrives, and in order: neither a lost line nor a lost login costs it."""

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.factories import AProject
from tests.web.conftest import Desk, SignIn, eventually
from tests.web.people import end_login

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)

MIDDLE = (0.5, 0.5)
STROKE = ((0.45, 0.5), (0.5, 0.52), (0.55, 0.5))
CORNER = ((0.2, 0.2), (0.25, 0.25))
# How many prompts and masks the browser itself keeps.
KEPT = """() => new Promise((resolve) => {
    indexedDB.open("accrue").onsuccess = (opened) => {
        const database = opened.target.result;
        database.transaction("drafts").objectStore("drafts").getAll().onsuccess = (found) => {
            database.close();
            resolve(found.target.result.map((draft) => [draft.prompts.length, draft.mask !== null]));
        };
    };
})"""


def test_work_done_offline_survives_a_closed_tab(sign_in: SignIn, project: AProject) -> None:
    context = sign_in()
    first = Desk(context.new_page()).open(f"/labels/{project.label_id}/annotate")
    context.set_offline(True)
    first.press("b")
    first.stroke(*CORNER)
    first.press("s")
    first.stroke(*STROKE)
    expect(first.page.locator('[data-state="offline"]')).to_be_visible()
    drawn, prompts = first.hash, first.prompts
    eventually(lambda: first.page.evaluate(KEPT) == [[1, True]])
    first.page.close()
    context.set_offline(False)
    second = Desk(context.new_page())
    second.page.goto(f"/labels/{project.label_id}/annotate")
    expect(second.page.get_by_text("was brought back")).to_be_visible()
    expect(second.page.get_by_text("1 prompt held back")).to_be_visible()
    assert second.hash == drawn
    assert second.prompts + 1 == prompts
    second.page.get_by_role("button", name="Predict now").click()
    second.saved()
    second.interactions(2)


def test_what_was_drawn_offline_goes_out_when_the_line_is_back(drawing: Desk) -> None:
    drawing.page.context.set_offline(True)
    drawing.press("b")
    drawing.stroke(*CORNER)
    drawn = drawing.hash
    expect(drawing.page.locator('[data-state="offline"]')).to_be_visible()
    drawing.page.context.set_offline(False)
    drawing.saved()
    drawing.page.reload()
    drawing.ready()
    assert drawing.hash == drawn


def test_what_is_drawn_after_the_login_has_ended_is_not_lost(drawing: Desk) -> None:
    cookies: Any = drawing.page.context.cookies()
    end_login(drawing.page)
    drawing.press("b")
    drawing.stroke(*CORNER)
    drawn = drawing.hash
    expect(drawing.page.get_by_role("dialog")).to_contain_text("signed out")
    drawing.page.context.add_cookies(cookies)  # as signing in again does
    drawing.page.once("dialog", lambda dialog: dialog.accept())
    drawing.page.reload()
    drawing.ready()
    assert drawing.hash == drawn


def test_steps_done_faster_than_they_are_sent_arrive_in_their_order(drawing: Desk) -> None:
    drawing.press("p")
    drawing.stroke(MIDDLE)
    drawing.press("b")
    drawing.stroke(*STROKE)
    drawing.press("p")
    drawing.stroke((0.3, 0.3))
    drawing.press("Control+z", "Control+z", "Control+Shift+z", "g", "e")
    drawing.stroke(*CORNER)
    drawing.press("Control+z", "Control+z", "Control+z", "Control+z", "Control+Shift+z")
    drawing.quiet()
    shown = drawing.hash
    drawing.page.reload()
    drawing.ready()
    assert drawing.hash == shown


def test_the_newest_reply_wins_whichever_comes_first(drawing: Desk) -> None:
    """The answer to the first prompt is held up until the second one has been answered."""
    late: list[Route] = []

    def hold_up(route: Route) -> None:
        if late:
            route.continue_()
        else:
            late.append(route)

    drawing.page.route("**/interactions", hold_up)
    drawing.press("p")
    with drawing.page.expect_request("**/interactions"):
        drawing.stroke(MIDDLE)
    drawing.stroke((0.52, 0.5))
    drawing.interactions(2)
    drawing.quiet()
    shown = drawing.hash
    drawing.page.reload()
    drawing.ready()
    assert drawing.hash == shown
    drawing.interactions(2)
