"""Forms and dialogs in a real browser: what is typed stays, and what asks goes on until it is answered."""

from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from service.tables import Role
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, told
from tests.web.conftest import SignIn, eventually, held_back
from tests.web.people import a_person, end_login

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)


def test_numbers_are_typed_key_by_key_corrected_and_emptied(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}/settings")
    keys = page.keyboard
    page.get_by_label("Control group").select_text()
    keys.type("0.25")
    page.get_by_label("Review every n-th image").select_text()
    keys.type("1")
    keys.press("Backspace")
    keys.type("3")
    idle = page.get_by_label("Give an image back after idle seconds")
    idle.select_text()
    keys.press("Backspace")
    keys.press("Tab")
    page.get_by_role("button", name="Save").click()
    expect(idle).to_be_focused()  # what is needed is asked for
    expect(idle).to_have_value("")
    keys.type("600")
    page.get_by_label("Review above an uncertainty of").focus()
    keys.type("0.05")
    keys.press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    after = told(api.get(f"/projects/{project.id}"))
    assert [after[name] for name in ("control_share", "review_every", "idle_seconds", "review_above")] == [
        0.25,
        3,
        600,
        0.05,
    ]


def test_a_label_that_somebody_else_changed_shows_what_they_chose(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}/settings")
    order = page.get_by_label("Order of the queue of disc")
    expect(order).to_have_value("in_order")
    etag = api.get(f"/labels/{project.label_id}").headers["etag"]
    told(api.patch(f"/labels/{project.label_id}", json={"context_limit": 9}, headers={"If-Match": etag}))
    order.select_option("random")
    expect(page.get_by_label("Context limit of disc")).to_have_value("9")
    expect(order).to_have_value("in_order")
    order.select_option("random")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert told(api.get(f"/labels/{project.label_id}"))["strategy"] == "random"


def test_what_is_typed_outlasts_the_answer_to_something_else(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    held = held_back(page, "**/api/labels/*", "PATCH")
    page.goto(f"/projects/{project.id}/settings")

    def type_while_renaming(field: Locator, typed: str, before: str, after: str) -> None:
        with page.expect_request(lambda request: request.method == "PATCH"):
            page.get_by_label(f"Name of {before}").fill(after)
            field.focus()
        field.fill(typed)
        held.pop().continue_()
        expect(page.get_by_label(f"Name of {after}")).to_be_visible()
        expect(field).to_have_value(typed)

    reasons, limit = page.get_by_label("Reasons to skip an image"), page.get_by_label("Context limit")
    type_while_renaming(reasons, "too dark\nblurred", "disc", "optic disc")
    type_while_renaming(limit, "12", "optic disc", "cup")
    page.unroute("**/api/labels/*")
    page.keyboard.press("Tab")
    eventually(lambda: told(api.get(f"/labels/{project.label_id}"))["context_limit"] == 12)
    expect(reasons).to_have_value("too dark\nblurred")


def test_what_is_changed_while_settings_are_saved_stays_and_is_saved_next(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=0)
    held = held_back(page, f"**/api/projects/{project.id}", "PATCH")
    page.goto(f"/projects/{project.id}/settings")
    name, people = page.get_by_label("Name", exact=True), page.get_by_label("People per image")
    own, save = page.get_by_label("People may review"), page.get_by_role("button", name="Save")
    name.fill(" discs ")
    with page.expect_request(lambda request: request.method == "PATCH"):
        save.click()
    people.fill("3")
    own.check()
    held.pop().continue_()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(name).to_have_value("discs")  # as it was saved
    people.blur()
    expect(people).to_have_value("3")
    expect(own).to_be_checked()
    page.unroute(f"**/api/projects/{project.id}")
    save.click()
    eventually(lambda: told(api.get(f"/projects/{project.id}"))["overlap"] == 3)
    after = told(api.get(f"/projects/{project.id}"))
    assert (after["name"], after["review_own"]) == ("discs", True)


def test_what_is_typed_while_the_name_before_is_sent_stays(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    held = held_back(page, "**/api/**", "POST")

    def name_two(path: str, label: str, button: str, there: Locator) -> None:
        page.goto(path)
        field = page.get_by_label(label)
        for name in ("one", "two"):
            field.fill(name)
            with page.expect_request(lambda request: request.method == "POST"):
                page.get_by_role("button", name=button).click()
            if name == "one":
                field.fill("two")
            held.pop().continue_()
            expect(there.filter(has_text=name)).to_have_count(1)
            expect(field).to_have_value("two" if name == "one" else "")

    name_two(f"/projects/{project.id}", "Another label", "Add the label", page.locator("h2"))
    name_two("/account", "What it is for", "Make a token", page.locator("tbody tr"))


def test_files_of_a_new_project_are_uploaded_whenever_they_are_listed(page: Page) -> None:
    page.goto("/new")
    page.get_by_label("Name", exact=True).fill(f"discs {uuid4()}")
    page.get_by_label("Labels").fill("disc")
    page.locator(".drop").evaluate(
        """(place) => {
          globalThis.list = {};
          for (const name of ["a.png", "b.png", "c.png"]) {
            const file = (found) => { list[name] = () => found(new File([name], name)); };
            const entry = { isFile: true, fullPath: `/${name}`, file };
            const event = new Event("drop", { bubbles: true, cancelable: true });
            event.dataTransfer = { types: ["Files"], items: [{ webkitGetAsEntry: () => entry }] };
            place.dispatchEvent(event);
          }
        }"""
    )
    for count, name in enumerate(("a.png", "b.png"), start=1):
        page.evaluate("(name) => list[name]()", name)
        expect(page.get_by_text(f"{count} file{'s' * (count > 1)} will be uploaded")).to_be_visible()
    page.get_by_role("button", name="Create the project").click()
    uploads = page.locator(".uploads li")
    expect(uploads).to_have_count(2)
    page.evaluate("list['c.png']()")
    expect(uploads).to_have_count(3)


def test_who_may_not_change_the_settings_is_told_who_may(
    sign_in: SignIn, service: ServiceUnderTest, api: httpx.Client
) -> None:
    project = a_project(api, images=0)
    page = sign_in(a_person(service, project.id, Role.ANNOTATOR).token).new_page()
    page.goto(f"/projects/{project.id}/settings")
    expect(page.get_by_text("This is for managers")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_escape_does_not_send_away_a_dialog_that_has_to_be_answered(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}")
    page.get_by_label("Another label").fill("rim")
    end_login(page)
    page.get_by_role("button", name="Add the label").click()
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Leave instead").click()
    expect(dialog).to_have_count(0)


def test_a_new_project_with_a_name_that_is_refused_is_finished_with_another(
    page: Page, api: httpx.Client
) -> None:
    name = f"discs {uuid4()}"
    page.goto("/new")
    page.get_by_label("Name", exact=True).fill(name)
    labels = page.get_by_label("Labels")
    make = page.get_by_role("button", name="Create the project")
    for wrong, why in ((" , ", "Name at least one label"), ("x" * 201, "longer than 200 characters")):
        labels.fill(wrong)
        make.click()
        expect(page.get_by_role("alert").filter(has_text=why)).to_be_visible()
    assert name not in [each["name"] for each in told(api.get("/projects"))]

    def refuse(route: Route) -> None:
        refused = "rim" in (route.request.post_data or "")
        problem = {"code": "name_taken", "detail": "Not that one."}
        route.fulfill(status=409, json=problem) if refused else route.continue_()

    page.route("**/labels", refuse)
    labels.fill("disc, rim")
    make.click()
    expect(page.get_by_text("Not that one.")).to_be_visible()
    labels.fill("disc, cup")
    make.click()
    expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible()
    (made,) = [each for each in told(api.get("/projects")) if each["name"] == name]
    assert [label["name"] for label in told(api.get(f"/projects/{made['id']}/labels"))] == ["disc", "cup"]


def test_a_message_can_be_closed_while_a_dialog_lies_over_the_page(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)
    page.goto(f"/projects/{project.id}/settings")
    page.get_by_label("Name of disc").fill("rim")
    page.keyboard.press("Enter")
    message = page.locator(".toast.alarming")
    expect(message).to_have_count(1)
    page.get_by_role("button", name="Remove disc").click()
    expect(message).to_have_count(1)
    message.get_by_role("button", name="Close").click()
    expect(message).to_have_count(0)
    expect(page.get_by_role("dialog")).to_be_visible()


def test_after_a_removal_by_keyboard_the_focus_stays_with_the_others(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)
    page.goto(f"/projects/{project.id}/settings")
    page.get_by_role("button", name="Remove rim").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Remove").press("Enter")
    expect(page.get_by_label("Name of rim")).to_have_count(0)
    expect(page.locator(".scroll", has=page.get_by_label("Name of disc"))).to_be_focused()


@pytest.mark.parametrize("path", ["", "/settings"])
def test_long_names_stay_in_their_boxes(page: Page, api: httpx.Client, path: str) -> None:
    project = a_project(api, images=0)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "x" * 200}), 201)
    page.goto(f"/projects/{project.id}{path}")
    if path:
        page.get_by_role("button", name=f"Remove {'x' * 200}").click()
    head = page.locator(".dialog-head h2" if path else ".card h2", has_text="xxx")
    expect(head).to_be_visible()
    box, around = head.bounding_box(), head.locator("..").bounding_box()
    assert box and around and box["x"] + box["width"] <= around["x"] + around["width"] + 1
    assert head.evaluate("each => each.scrollWidth <= each.clientWidth")
