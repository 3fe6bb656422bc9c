"""The context of a label in a real browser: seen, changed, and carried from one project into another."""

import re
import zipfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.factories import a_project, accept_next, told
from tests.web.conftest import held_back


def test_the_context_is_pinned_left_out_and_withdrawn(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=3)
    accept_next(api, project.label_id, clicks=2)
    page.goto(f"/projects/{project.id}/context")
    tile = page.locator(".tile")
    tile.get_by_role("link").click()
    page.wait_for_url(re.compile(r"/api/context/\d+/thumbnail\?size=1024$"))  # what is accepted is looked at
    assert page.evaluate("document.contentType") == "image/png"
    page.go_back()
    tile.get_by_role("button", name="Pin").click()
    expect(tile).to_contain_text("pinned by accrue")
    tile.get_by_role("button", name="Exclude").click()
    expect(page.get_by_text("The context is empty")).to_be_visible()
    page.get_by_label("Show what was removed").check()
    tile.get_by_role("button", name="Include again").click()
    tile.get_by_role("button", name="Withdraw").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the wrong eye")
    dialog.get_by_role("button", name="Withdraw").click()
    expect(tile).to_contain_text("the wrong eye")
    states = [each["state"] for each in told(api.get(f"/labels/{project.label_id}/annotations"))]
    assert sorted(states) == ["open", "open", "returned"]


def test_the_context_goes_out_as_a_zip_and_into_another_project(
    page: Page, api: httpx.Client, tmp_path: Path
) -> None:
    home, abroad = a_project(api, images=2), a_project(api, images=1)
    accept_next(api, home.label_id, clicks=2)
    page.goto(f"/projects/{home.id}/context")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as ZIP").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    with zipfile.ZipFile(file) as archive:
        assert any(name.endswith(".png") for name in archive.namelist())

    page.goto(f"/projects/{abroad.id}/context")
    expect(page.get_by_text("The context is empty")).to_be_visible()
    page.get_by_label("Import a ZIP").set_input_files(file)
    expect(page.get_by_text("1 pair from")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(1)
    assert len(told(api.get(f"/labels/{abroad.label_id}/context"))) == 1
    (tmp_path / "other.zip").write_bytes(b"PK nothing of ours")
    page.get_by_label("Import a ZIP").set_input_files(tmp_path / "other.zip")
    expect(page.locator(".toast.alarming")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(1)


def test_of_another_label_nothing_is_shown_or_changed(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=1)
    accept_next(api, project.label_id, clicks=1)
    rim = told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)["id"]
    path = f"**/api/labels/{rim}/context?*"
    held = held_back(page, path)
    page.goto(f"/projects/{project.id}/context")
    tile = page.locator(".tile")
    expect(tile).to_have_count(1)
    with page.expect_request(path):
        page.get_by_label("Label").select_option("rim")
    expect(page.get_by_text("Loading …")).to_be_visible()
    expect(tile).to_have_count(0)
    held.pop().fulfill(status=500, json={"code": "broken", "detail": "It is broken."})
    expect(page.get_by_text("It is broken.")).to_be_visible()
    expect(tile).to_have_count(0)
    page.unroute(path)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("The context is empty")).to_be_visible()
