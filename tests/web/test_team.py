"""The pages of a team in a real browser: from a new project to the curve that falls."""

import json
import re
from pathlib import Path
from uuid import uuid4

import httpx
from playwright.sync_api import Page, Route, expect

from tests.factories import AProject, a_project, accept_next, png, told
from tests.web.conftest import SignIn
from tests.web.people import come_in


def a_worked_project(api: httpx.Client) -> AProject:
    """A project with an image accepted after some clicks, and others to do."""
    project = a_project(api, images=3)
    accept_next(api, project.label_id, clicks=2)
    return project


def test_a_project_is_made_with_labels_images_and_an_invitation(
    page: Page, sign_in: SignIn, api: httpx.Client, tmp_path: Path
) -> None:
    name, grace = f"discs {uuid4()}", f"grace {uuid4()}"
    folder = tmp_path / "fundus"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.png").write_bytes(png())
    (folder / "notes.txt").write_text("not an image")

    page.goto("/")
    page.get_by_role("link", name="New project").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Labels").fill("optic disc, optic cup")
    page.get_by_label("Images: Choose a folder").set_input_files(folder)
    expect(page.get_by_text("4 files will be uploaded")).to_be_visible()
    page.get_by_label("Make an invitation link").check()
    page.get_by_role("button", name="Create the project").click()
    expect(page.get_by_text("4 of 4 files done")).to_be_visible()
    expect(page.locator(".uploads .chip", has_text="Stored")).to_have_count(3)
    expect(page.locator(".uploads li", has_text="notes.txt")).to_contain_text("Refused")

    link = page.locator("output").inner_text()
    other = come_in(sign_in().browser.new_context().new_page(), link, grace)  # type: ignore[union-attr]
    other.get_by_role("link", name=name).click()
    expect(other.get_by_role("link", name="Annotate optic disc")).to_be_visible()
    expect(other.get_by_role("link", name="Review optic disc")).to_have_count(0)
    expect(other.get_by_text("0 of 3 images accepted")).to_have_count(2)
    other.context.close()

    page.get_by_role("link", name="Open the project").click()
    page.get_by_label("Add images: Choose files").set_input_files(folder / "0.png")
    expect(page.locator(".uploads li", has_text="Here already")).to_have_count(1)
    page.get_by_role("link", name="People").click()
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        page.get_by_label(f"Role of {grace}").select_option("reviewer")
    project = next(each for each in told(api.get("/projects")) if each["name"] == name)
    page.reload()
    expect(page.get_by_label(f"Role of {grace}")).to_have_value("reviewer")
    roles = {each["name"]: each["role"] for each in told(api.get(f"/projects/{project['id']}/members"))}
    assert roles[grace] == "reviewer"


def test_what_failed_is_sent_again_and_nothing_else(page: Page, api: httpx.Client, tmp_path: Path) -> None:
    project = a_project(api, images=0)
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(png())
    page.goto(f"/projects/{project.id}")
    page.route(
        "**/images", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    page.get_by_label("Add images: Choose files").set_input_files([tmp_path / "0.png", tmp_path / "1.png"])
    again = page.get_by_role("button", name="Send 2 failed files again")
    expect(again).to_be_visible()
    page.unroute("**/images")
    again.click()
    expect(page.locator(".uploads .chip", has_text="Stored")).to_have_count(2)
    assert len(told(api.get(f"/projects/{project.id}/images"))) == 2


def test_two_who_change_the_same_setting_are_shown_both(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}/settings")
    page.get_by_label("Review every n-th image").fill("2")
    page.get_by_label("Control group").fill("0.2")
    told_now = api.get(f"/projects/{project.id}")
    change = {"review_every": 5, "overlap": 2}
    headers = {"If-Match": told_now.headers["etag"]}
    told(api.patch(f"/projects/{project.id}", json=change, headers=headers))
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Somebody else changed this meanwhile")
    expect(dialog.get_by_role("row", name="Review every n-th image 2 5")).to_be_visible()
    expect(dialog.get_by_role("row")).to_have_count(2)  # the head, and the one that both changed
    dialog.get_by_role("button", name="Keep mine").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    after = told(api.get(f"/projects/{project.id}"))
    assert (after["review_every"], after["overlap"], after["control_share"]) == (2, 2, 0.2)
    expect(page.get_by_label("People per image")).to_have_value("2")


def test_an_export_is_made_downloaded_and_removed(page: Page, api: httpx.Client) -> None:
    project = a_worked_project(api)
    page.goto(f"/projects/{project.id}/exports")
    page.get_by_label("Format").select_option("Everything (JSON)")
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    assert json.loads(Path(download.value.path()).read_text())
    page.get_by_role("button", name="Remove Everything (JSON)").click()
    dialog = page.get_by_role("dialog", name="Remove Everything (JSON)?")
    expect(dialog).to_contain_text("it can be made again")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No exports yet")).to_be_visible()
    assert told(api.get(f"/projects/{project.id}/exports")) == []


def test_an_export_is_followed_to_its_end_though_a_look_at_it_fails(page: Page, api: httpx.Client) -> None:
    project = a_worked_project(api)
    asked = {"format": "json", "states": ["accepted"]}
    made = told(api.post(f"/projects/{project.id}/exports", json=asked), 202)
    looks = iter(["running", "running", None, "running", "done"])

    def look(route: Route) -> None:
        state = next(looks, "done")
        if state is None:
            route.fulfill(status=500, json={"code": "broken", "detail": "It is broken."})
        else:
            route.fulfill(json=[made | {"state": state, "percent": 40}])

    page.route("**/api/projects/*/exports", look)
    page.goto(f"/projects/{project.id}/exports")
    expect(page.get_by_label("Progress of Everything (JSON)")).to_be_visible()
    expect(page.locator(".chip", has_text="Done")).to_be_visible()


def test_everything_is_reached_by_keys_that_can_be_changed(page: Page) -> None:
    page.goto("/account")
    page.get_by_role("heading", level=1).wait_for()
    page.keyboard.press("?")
    page.get_by_role("button", name="Change: To the projects").press("Enter")
    page.keyboard.press("g")
    expect(page.locator("kbd", has_text=re.compile("^G$"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Alt+t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
