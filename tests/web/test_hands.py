"""The page for annotating under a hand: wheel, pen, palm and fingers, slices of a volume, labels by key."""

from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import CDPSession, expect

from tests.factories import AProject, a_project, accept_next, pixels, told, upload
from tests.files import tiff
from tests.web.conftest import Desk, SignIn, eventually

pytestmark = pytest.mark.parametrize("service", ["postgresql"], indirect=True)

LINE = ((0.4, 0.4), (0.45, 0.4), (0.5, 0.4), (0.55, 0.4))


class Tablet:
    """A pen and fingers on the viewport of a desk, as the browser gets them from the device."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line: CDPSession = desk.page.context.new_cdp_session(desk.page)

    def pen(self, *points: tuple[float, float], force: float) -> None:
        told = {"pointerType": "pen", "force": force, "clickCount": 1}
        self._mouse("mousePressed", points[0], button="left", buttons=1, **told)
        for point in points[1:]:
            self._mouse("mouseMoved", point, button="left", buttons=1, **told)
        self._mouse("mouseReleased", points[-1], button="left", buttons=0, **told)

    def _mouse(self, kind: str, point: tuple[float, float], **told: Any) -> None:
        x, y = self.desk.at(*point)
        self.line.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **told})

    def fingers(self, *moments: tuple[tuple[float, float], ...]) -> None:
        """Where all fingers are at each moment; they come down at the first and are lifted after the last."""
        kinds = ["touchStart"] + ["touchMove"] * (len(moments) - 1)
        for kind, moment in zip(kinds, moments, strict=True):
            places = [self.desk.at(*point) for point in moment]
            points = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(places)]
            self.line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self.line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.fixture
def tablet(sign_in: SignIn, project: AProject) -> Tablet:
    page = sign_in(has_touch=True).new_page()
    return Tablet(Desk(page).open(f"/labels/{project.label_id}/annotate"))


def test_the_wheel_zooms_to_the_cursor_and_with_shift_widens_the_brush(drawing: Desk) -> None:
    drawing.press("b")
    x, y = drawing.at(0.3, 0.6)
    corner = drawing.at(0, 0)
    spot = (x - corner[0], y - corner[1])
    drawing.page.mouse.move(x, y)
    before, edge = drawing.shown(*spot), drawing.shown(0, 0)
    drawing.page.mouse.wheel(0, -300)
    eventually(lambda: drawing.shown(0, 0) != edge)
    np.testing.assert_allclose(drawing.shown(*spot), before, atol=0.05)
    assert abs(drawing.shown(0, 0)[0] - before[0]) < 0.8 * abs(edge[0] - before[0])
    width = drawing.page.get_by_label("Width", exact=True).first
    thin = int(width.inner_text())
    drawing.page.keyboard.down("Shift")
    drawing.page.mouse.wheel(0, -100)
    drawing.page.keyboard.up("Shift")
    eventually(lambda: int(width.inner_text()) > thin)
    drawing.press("0")
    eventually(lambda: drawing.shown(0, 0) == edge)


def test_keys_look_closer_at_the_middle_or_at_the_cross_hairs(drawing: Desk) -> None:
    width, height = drawing.page.locator(".layer-image").evaluate("it => [it.width, it.height]")
    edge = drawing.shown(0, 0)
    before = drawing.shown(width / 2, height / 2)
    drawing.press("+", "+")
    np.testing.assert_allclose(drawing.shown(width / 2, height / 2), before, atol=0.05)
    assert drawing.shown(0, 0)[0] > edge[0]
    drawing.press("0", *["ArrowRight"] * 10)
    before = drawing.shown(width / 2 + 100, height / 2)
    drawing.press("+")
    np.testing.assert_allclose(drawing.shown(width / 2 + 100, height / 2), before, atol=0.05)
    drawing.press("-")
    np.testing.assert_allclose(drawing.shown(0, 0), edge, atol=0.05)


def test_the_help_tells_what_is_held_and_turned_and_only_keys_can_be_changed(drawing: Desk) -> None:
    drawing.press("?")
    keys = drawing.page.get_by_role("dialog", name="Keys")
    for text, held in (("several prompts", "Ctrl"), ("Move the image", "Space"), ("slices", "Alt+Wheel")):
        row = keys.locator("dl > div", has_text=text)
        expect(row.locator("kbd")).to_have_text(held)
        expect(row.get_by_role("button")).to_have_count(0)
    expect(keys.get_by_role("button", name="Change: Zoom in")).to_be_visible()


def test_a_screen_with_finer_pixels_is_drawn_on_with_its_own(desk: Desk, project: AProject) -> None:
    # Emulated screens do not tell of their pixels themselves, unless their size changes as well.
    remember = (
        "asked = []; const ask = matchMedia; matchMedia = (query) => (asked.push(ask(query)), asked.at(-1))"
    )
    desk.page.add_init_script(remember)
    desk.open(f"/labels/{project.label_id}/annotate")
    canvas = desk.page.locator(".layer-image")
    width = canvas.evaluate("it => it.width")
    line = desk.page.context.new_cdp_session(desk.page)
    for ratio in (2, 3):
        screen = {"width": 1200, "height": 800, "deviceScaleFactor": ratio, "mobile": False}
        line.send("Emulation.setDeviceMetricsOverride", screen)
        eventually(lambda ratio=ratio: desk.page.evaluate("devicePixelRatio") == ratio)
        desk.page.evaluate(
            "asked.findLast(({ media }) => media.includes('resolution'))?.dispatchEvent(new Event('change'))"
        )
        assert canvas.evaluate("it => it.width") == ratio * width


def test_the_mask_is_hidden_for_as_long_as_the_key_is_held(drawing: Desk) -> None:
    masks = drawing.page.locator(".layer-mask, .layer-marks")
    drawing.page.keyboard.down("h")
    expect(masks.first).to_be_hidden()
    expect(masks.last).to_be_hidden()
    drawing.page.keyboard.up("h")
    expect(masks.first).to_be_visible()
    expect(masks.last).to_be_visible()


def test_a_pen_that_is_pressed_harder_paints_wider_and_a_palm_beside_it_nothing(tablet: Tablet) -> None:
    desk = tablet.desk
    desk.press("b", "]", "]", "]", "]")
    painted = []
    for force in (0.25, 0.75):
        before = desk.pixels
        tablet.pen(*((x, 0.1) for x, _ in LINE), force=force)
        painted.append(desk.pixels - before)
        desk.press("Control+z")
        assert desk.pixels == before
    assert painted[1] > 1.5 * painted[0] > 0
    drawn, corner = desk.hash, desk.shown(0, 0)
    tablet.fingers(((0.3, 0.3),), ((0.35, 0.35),), ((0.4, 0.4),))
    assert desk.hash == drawn
    assert desk.shown(0, 0) != corner, "a finger beside a pen moves the image"


def test_one_finger_draws_and_two_move_and_zoom_the_image(tablet: Tablet) -> None:
    desk = tablet.desk
    desk.press("b")
    drawn = desk.hash
    tablet.fingers(((0.2, 0.2),), ((0.25, 0.25),), ((0.3, 0.3),))
    drawn = desk.painted(drawn)
    corner, other = desk.shown(0, 0), desk.shown(100, 0)
    tablet.fingers(((0.4, 0.5), (0.6, 0.5)), ((0.3, 0.5), (0.7, 0.5)), ((0.2, 0.5), (0.8, 0.5)))
    wide, narrow = other[0] - corner[0], desk.shown(100, 0)[0] - desk.shown(0, 0)[0]
    assert wide / narrow == pytest.approx(3, rel=0.05)
    assert desk.hash == drawn
    corner = desk.shown(0, 0)
    tablet.fingers(((0.4, 0.5), (0.6, 0.5)), ((0.5, 0.6), (0.7, 0.6)))
    assert desk.shown(0, 0)[0] < corner[0]
    assert desk.shown(0, 0)[1] < corner[1]
    assert desk.shown(100, 0)[0] - desk.shown(0, 0)[0] == pytest.approx(narrow, rel=0.02)
    assert desk.hash == drawn


def inked(desk: Desk) -> bool:
    """Whether any mask is seen."""
    read = "it => it.getContext('2d').getImageData(0, 0, it.width, it.height).data.some((_) => _ > 0)"
    return bool(desk.page.locator(".layer-mask").evaluate(read))


def test_the_neighbours_of_a_slice_are_seen_with_their_accepted_masks(desk: Desk, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    told(upload(api, project.id, {"stack.tif": tiff(np.stack([pixels() for _ in range(3)]))}), 201)
    accept_next(api, project.label_id, clicks=1)
    desk.open(f"/labels/{project.label_id}/annotate")
    slices = desk.page.locator(".panel section", has_text="Slices")
    expect(slices).to_contain_text("Slice 2 of 3")
    expect(desk.page.locator(".origin")).to_contain_text("1 accepted image")
    drawn = desk.quiet().hash
    level = desk.page.get_by_role("spinbutton", name="Level")
    level.fill("40")
    level.press("Enter")
    desk.page.locator(".viewport").focus()
    desk.press("PageUp")
    expect(slices).to_contain_text("with its accepted mask")
    eventually(lambda: inked(desk))
    expect(level).to_have_value("40")
    desk.press("b")
    desk.stroke(*LINE)
    assert desk.hash == drawn, "another slice is only looked at"
    desk.page.mouse.move(*desk.at(0.5, 0.5))
    desk.page.keyboard.down("Alt")
    desk.page.mouse.wheel(0, 100)
    expect(slices).not_to_contain_text("Only looked at")
    desk.page.mouse.wheel(0, 100)
    desk.page.keyboard.up("Alt")
    expect(slices).to_contain_text("no accepted mask yet")
    eventually(lambda: not inked(desk))
    slices.get_by_role("button", name="Back to your slice").click()
    expect(slices).to_contain_text("Slice 2 of 3")
    desk.stroke(*LINE)
    desk.painted(drawn)
    desk.press("Enter")
    slices.get_by_role("button", name="Slice behind").click()
    expect(desk.page.get_by_text("Finish the stroke first")).to_be_visible()
    expect(slices).to_contain_text("Slice 2 of 3")


def test_a_digit_opens_the_same_image_for_another_label(desk: Desk, api: httpx.Client) -> None:
    project = a_project(api)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "cup"}), 201)
    desk.open(f"/labels/{project.label_id}/annotate")
    image = desk.page.locator(".where .name").inner_text()
    expect(desk.page.locator(".where strong")).to_have_text("disc")
    expect(desk.page.get_by_role("button", name="cup")).to_be_visible()
    desk.press("2")
    expect(desk.page.locator(".where strong")).to_have_text("cup")
    desk.ready()
    assert desk.page.locator(".where .name").inner_text() == image
    expect(desk.page.get_by_role("button", name="disc")).to_be_visible()
    desk.press("1")
    expect(desk.page.locator(".where strong")).to_have_text("disc")
    desk.press("9")
    expect(desk.page.locator(".where strong")).to_have_text("disc")
