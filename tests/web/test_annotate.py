"""The page for annotating in a real browser: every tool, nothing lost, and the model away."""

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, Request, Route, expect

from service.tables import Annotation, State
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project, pixels, png, told, upload
from tests.web.conftest import Desk, eventually, held_back

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)

MIDDLE = (0.5, 0.5)
STROKE = ((0.45, 0.5), (0.5, 0.52), (0.55, 0.5))
CORNER = ((0.2, 0.2), (0.25, 0.25))


def asked(page: Page, ending: str) -> list[Request]:
    """The requests to addresses with this ending, as they are made from now on."""
    made: list[Request] = []
    page.on("request", lambda request: made.append(request) if request.url.endswith(ending) else None)
    return made


@pytest.mark.parametrize(
    ("key", "points"),
    [
        ("s", STROKE),
        ("p", (MIDDLE,)),
        ("r", ((0.3, 0.25), (0.7, 0.75))),
        ("l", ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))),
    ],
)
def test_each_prompt_tool_makes_one_interaction(
    drawing: Desk, key: str, points: tuple[tuple[float, float], ...]
) -> None:
    drawing.press(key)
    drawing.stroke(*points)
    drawing.interactions(1)
    drawing.saved()
    assert drawing.prompts == 1


def test_the_sign_is_turned_by_key_by_the_right_button_and_by_alt(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    drawing.press("s")
    drawing.stroke(*STROKE)
    drawing.stroke(*CORNER, button="right")
    drawing.press("t")
    drawing.stroke(*CORNER)
    drawing.press("t")
    drawing.page.keyboard.down("Alt")
    drawing.stroke(*CORNER)
    drawing.page.keyboard.up("Alt")
    drawing.interactions(4)
    drawing.saved()
    (held,) = told(api.get(f"/labels/{project.label_id}/annotations?held=true"))
    steps = told(api.get(f"/annotations/{held['id']}"))["interactions"]
    assert [step["prompts"][0]["positive"] for step in steps] == [True, False, False, False]


def test_brush_eraser_and_fill_change_the_mask_and_undo_goes_back_to_the_first(drawing: Desk) -> None:
    states = [drawing.hash]
    drawing.press("b")
    drawing.stroke(*CORNER)
    states.append(drawing.hash)
    drawing.press("e")
    drawing.stroke((0.2, 0.2), (0.22, 0.22))
    states.append(drawing.hash)
    drawing.press("s")
    drawing.stroke(*STROKE)
    drawing.quiet()  # the mask of the stroke has come
    states.append(drawing.hash)
    drawing.press("f")
    drawing.stroke((0.9, 0.9))
    states.append(drawing.hash)
    assert len(set(states[:3])) == 3
    assert states[4] != states[3]
    drawing.interactions(4)
    for state in reversed(states[:-1]):
        drawing.press("Control+z")
        assert drawing.hash == state
    for state in states[1:]:
        drawing.press("Control+Shift+z")
        assert drawing.hash == state
    drawing.saved()
    drawing.page.reload()
    drawing.ready()
    assert drawing.hash == states[-1]


def test_holes_are_filled_and_the_largest_part_kept(drawing: Desk) -> None:
    drawing.press("b")
    for _ in range(8):
        drawing.press("[")
    ring = [(0.5 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6.4, 16)]
    drawing.stroke(*ring)
    before = drawing.pixels
    drawing.press("g")
    whole = drawing.pixels
    assert whole > before
    drawing.stroke((0.15, 0.1))
    assert drawing.pixels > whole
    drawing.press("k")
    assert drawing.pixels == whole
    drawing.saved()


def test_everything_but_freehand_goes_by_keyboard_alone(drawing: Desk) -> None:
    drawing.press("p", "ArrowRight", "Shift+ArrowUp", "Enter")
    drawing.interactions(1)
    drawing.press("r", *["ArrowLeft"] * 3, "Enter", *["ArrowDown"] * 4, *["ArrowRight"] * 4, "Enter")
    drawing.interactions(2)
    drawing.saved()
    before = drawing.hash
    drawing.press("b", *["ArrowUp"] * 20, "Enter", *["ArrowLeft"] * 5, "Enter")
    drawing.painted(before)
    drawing.press("?")
    expect(drawing.page.get_by_role("dialog")).to_contain_text("Keep largest")
    drawing.press("Escape")
    drawing.saved()
    drawing.press("Control+Enter")
    drawing.interactions(0)


def test_a_key_that_is_held_down_draws_once_and_ends_one_image(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    def hold(key: str) -> None:
        for _ in range(3):
            drawing.page.keyboard.down(key)

    def accepted() -> int:
        return len(told(api.get(f"/labels/{project.label_id}/annotations?state=accepted")))

    name = drawing.page.locator(".where .name")
    drawing.press("p", "ArrowRight")
    hold("Enter")
    drawing.page.keyboard.up("Enter")
    drawing.interactions(1)
    drawing.quiet()
    assert drawing.prompts == 1
    for ended, button in enumerate((False, True), start=1):
        before = name.inner_text()
        if button:
            drawing.page.get_by_role("button", name="Submit and next").focus()
        else:
            drawing.page.keyboard.down("Control")
        hold("Enter")
        expect(name).not_to_have_text(before)
        drawing.ready()
        hold("Enter")
        for key in ("Enter", "Control"):
            drawing.page.keyboard.up(key)
        drawing.quiet()
        assert accepted() == ended


def test_the_second_of_two_quick_clicks_does_not_submit_the_next_image(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    name = drawing.page.locator(".where .name")
    first = name.inner_text()
    drawing.page.get_by_role("button", name="Submit and next").click()
    expect(name).not_to_have_text(first)
    drawing.ready()
    drawing.page.mouse.down(click_count=2)
    drawing.page.mouse.up(click_count=2)
    drawing.quiet()
    assert len(told(api.get(f"/labels/{project.label_id}/annotations?state=accepted"))) == 1


def test_prompts_drawn_with_ctrl_held_are_one_request_on_release(drawing: Desk) -> None:
    sent = asked(drawing.page, "/interactions")
    drawing.press("s")
    drawing.page.keyboard.down("Control")
    for shift in (0.0, 0.05, 0.1):
        drawing.stroke(*((x, y + shift) for x, y in STROKE))
    expect(drawing.page.get_by_text("3 prompts held back")).to_be_visible()
    assert sent == []
    drawing.page.keyboard.up("Control")
    drawing.interactions(1)
    drawing.saved()
    assert drawing.prompts == 3
    assert len({each.headers["idempotency-key"] for each in sent}) == 1


def test_submit_and_next_opens_with_the_mask_of_the_context(
    drawing: Desk, project: AProject, service: ServiceUnderTest
) -> None:
    drawing.press("s")
    drawing.stroke(*STROKE)
    drawing.quiet()
    first = drawing.page.locator(".where .name").inner_text()
    drawing.press("Control+Enter")
    expect(drawing.page.locator(".where .name")).not_to_have_text(first)
    drawing.ready()
    expect(drawing.page.locator(".origin")).to_contain_text("1 accepted image")
    expect(drawing.page.locator(".origin")).to_contain_text("uncertainty")
    drawing.quiet()
    assert drawing.pixels > 0
    with service.sessions() as session:
        states = session.query(Annotation.state).filter_by(label_id=project.label_id).order_by(Annotation.id)
        assert next(state for (state,) in states) is State.ACCEPTED


def test_an_image_is_skipped_with_a_reason_and_an_empty_queue_says_so(
    drawing: Desk, api: httpx.Client, project: AProject
) -> None:
    *others, _last = project.image_ids
    for _ in project.image_ids:
        name = drawing.ready().page.locator(".where .name").inner_text()
        drawing.press("x")
        drawing.page.get_by_role("textbox", name="Why?").fill("too dark")
        drawing.page.get_by_role("button", name="Skip and next").click()
        expect(drawing.page.get_by_role("dialog")).to_have_count(0)
        if others:
            others.pop()
            expect(drawing.page.locator(".where .name")).not_to_have_text(name)
    expect(drawing.page.get_by_text("Nothing is left to annotate")).to_be_visible()
    found = told(api.get(f"/labels/{project.label_id}/annotations"))
    assert {each["skip_reason"] for each in found} == {"too dark"}


def test_who_skips_chooses_of_the_reasons_that_the_project_knows_as_soon_as_they_are_there(
    desk: Desk, api: httpx.Client, project: AProject
) -> None:
    path = f"/projects/{project.id}"
    seen = {"If-Match": api.get(path).headers["ETag"]}
    told(api.patch(path, json={"skip_reasons": ["blurred", "empty"]}, headers=seen))
    held = held_back(desk.page, f"**/api{path}")
    desk.open(f"/labels/{project.label_id}/annotate")
    name = desk.page.locator(".where .name").inner_text()
    desk.press("x")
    dialog = desk.page.get_by_role("dialog", name="Skip this image")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_have_count(0)
    eventually(lambda: len(held) > 0)
    for route in held:
        route.continue_()
    expect(dialog.get_by_role("radio", name="blurred")).to_be_focused()
    expect(dialog.get_by_role("textbox")).to_have_count(0)
    desk.press("ArrowDown", "Tab", "Enter")
    expect(desk.page.locator(".where .name")).not_to_have_text(name)
    (skipped,) = told(api.get(f"/labels/{project.label_id}/annotations?state=skipped"))
    assert skipped["skip_reason"] == "empty"


def test_letters_are_keys_again_once_a_box_was_ticked_and_a_field_undoes_its_own_text(drawing: Desk) -> None:
    drawing.press("b")
    before = drawing.hash
    drawing.stroke(*STROKE)
    drawn = drawing.painted(before)
    drawing.page.get_by_role("spinbutton", name="Level").press("Control+z")
    assert drawing.hash == drawn
    drawing.page.get_by_label("Invert").check()
    drawing.press("e")
    expect(drawing.page.get_by_role("button", name="Eraser")).to_have_attribute("aria-pressed", "true")


def test_a_level_that_is_typed_outlasts_what_the_page_shows_meanwhile(drawing: Desk) -> None:
    level = drawing.page.get_by_role("spinbutton", name="Level")
    level.fill("40")
    drawing.page.get_by_label("Outline").dispatch_event("click")
    expect(drawing.page.get_by_label("Outline")).to_be_checked()
    level.press("Enter")
    expect(level).to_have_value("40")
    level.fill("")
    level.blur()
    expect(level).to_have_value("40")


def test_flags_and_comments_are_kept(drawing: Desk, api: httpx.Client, project: AProject) -> None:
    drawing.press("m")
    drawing.page.get_by_role("dialog").get_by_role("textbox").fill("is this a vessel?")
    drawing.press("Enter")
    expect(drawing.page.get_by_role("button", name="Flagged")).to_be_visible()
    drawing.press("c")
    drawing.page.get_by_role("textbox", name="Comment").fill("looks like one")
    drawing.page.get_by_role("button", name="Add").click()
    expect(drawing.page.get_by_role("dialog").get_by_text("looks like one")).to_be_visible()
    flagged = told(api.get(f"/labels/{project.label_id}/annotations?flagged=true"))
    assert [each["flag"] for each in flagged] == ["is this a vessel?"]


def test_a_comment_is_sent_once_and_what_is_typed_meanwhile_stays(drawing: Desk) -> None:
    page, held = drawing.page, list[Route]()

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route("**/comments", hold)
    drawing.press("c")
    text, add = page.get_by_role("textbox", name="Comment"), page.get_by_role("button", name="Add")
    text.fill("looks like one")
    add.click()
    add.click()
    eventually(lambda: len(held) > 0)
    text.fill("or two")
    for route in held:
        route.continue_()
    said = page.get_by_role("dialog").get_by_role("listitem")
    expect(said).to_contain_text("looks like one")
    drawing.quiet()
    expect(said).to_have_count(1)
    expect(text).to_have_value("or two")


def test_sixteen_bits_reach_the_canvas_and_another_window_sends_nothing(
    desk: Desk, api: httpx.Client
) -> None:
    project = a_project(api, images=0)
    told(upload(api, project.id, {"deep.png": png(pixels(dtype="uint16"))}), 201)
    desk.open(f"/labels/{project.label_id}/annotate")
    width = desk.page.get_by_label("Width", exact=True).last
    assert float(width.input_value()) > 1000
    expect(desk.page.locator(".where a")).to_be_visible()  # little is left to read
    desk.page.wait_for_load_state("networkidle")
    sent = asked(desk.page, "")
    grey = "() => { const c = document.querySelector('.layer-image'); return [...c.getContext('2d')"
    grey += ".getImageData(c.width / 2, c.height / 2, 1, 1).data] }"
    before = desk.page.evaluate(grey)
    desk.press("w")
    desk.stroke(MIDDLE, (0.9, 0.9))
    eventually(lambda: desk.page.evaluate(grey) != before)
    # The page may still be looking for the image after this one.
    assert [each.url for each in sent if "/annotations?" not in each.url] == []
