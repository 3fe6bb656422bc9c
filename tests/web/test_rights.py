"""What is given and taken in a real browser: tokens, passwords, memberships, labels; and who did it."""

import csv
import re
from pathlib import Path
from uuid import uuid4

import httpx
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.conftest import ServiceUnderTest
from tests.factories import a_project, another_person, told


def sure(page: Page, question: str) -> Locator:
    """The dialog that asks before something goes."""
    dialog = page.get_by_role("dialog", name=question)
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    return dialog


def test_a_token_is_shown_once_may_what_it_may_and_ends_when_it_is_revoked(
    page: Page, service: ServiceUnderTest
) -> None:
    name = f"nightly {uuid4()}"
    page.goto("/account")
    page.get_by_label("What it is for").fill(name)
    page.get_by_label("Rights").select_option("Viewer")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("output").inner_text()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("Viewer")
    with service.client(token) as script:
        told(script.get("/me"))
        assert script.post("/projects", json={"name": "not mine to make"}).status_code == 403
        page.reload()
        expect(row).to_be_visible()
        expect(page.get_by_text(token)).to_have_count(0)
        row.get_by_role("button", name=f"Revoke {name}").click()
        dialog = sure(page, f"Revoke {name}?")
        expect(dialog).to_contain_text("refused from now on")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(row.get_by_role("button", name=f"Revoke {name}")).to_be_focused()
        told(script.get("/me"))
        page.keyboard.press("Enter")
        sure(page, f"Revoke {name}?").get_by_role("button", name="Revoke").click()
        expect(row).to_have_count(0)
        assert script.get("/me").status_code == 401


def test_a_token_for_a_project_that_is_gone_says_so(page: Page, api: httpx.Client) -> None:
    project, name = a_project(api, images=0), f"nightly {uuid4()}"
    told(api.post("/tokens", json={"name": name, "project_id": project.id}), 201)
    called = told(api.get(f"/projects/{project.id}"))["name"]
    assert api.delete(f"/projects/{project.id}", params={"name": called}).status_code == 204
    page.goto("/account")
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("One that is gone")
    expect(row).not_to_contain_text("All of mine")


def test_an_administrator_renews_a_password_and_shuts_somebody_out_and_in_again(
    page: Page, browser: Browser, service: ServiceUnderTest, api: httpx.Client
) -> None:
    with another_person(api, service.sessions) as person:
        name = told(person.get("/me"))["name"]
    page.goto("/account")
    page.get_by_role("button", name=f"Link for a new password for {name}").click()
    row = page.get_by_role("row").filter(has_text=name).first
    below = row.locator("+ tr")
    expect(below).to_contain_text(f"{name} chooses a new password with this link")
    link = below.locator("output").inner_text()
    with browser.new_context(base_url=service.base_url) as context:
        theirs = context.new_page()
        theirs.goto(link)
        theirs.get_by_label("A password").fill("correct horse battery")
        theirs.keyboard.press("Enter")
        expect(theirs.locator("#who")).to_have_text(name)

        page.get_by_role("button", name=f"Disable {name}").click()
        dialog = sure(page, f"Disable {name}?")
        expect(dialog).to_contain_text("signed out everywhere")
        dialog.get_by_role("button", name="Disable").click()
        expect(row).to_contain_text("disabled")
        theirs.reload()
        expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()

        page.get_by_role("button", name=f"Enable {name}").click()
        expect(page.get_by_role("button", name=f"Disable {name}")).to_be_visible()
        theirs.get_by_label("Name", exact=True).fill(name)
        theirs.get_by_label("Password", exact=True).fill("correct horse battery")
        theirs.keyboard.press("Enter")
        expect(theirs.locator("#who")).to_have_text(name)


def test_members_invitations_and_labels_go_after_a_question_that_names_them(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    project = a_project(api, images=0)
    link = told(api.post(f"/projects/{project.id}/invitations", json={"role": "annotator"}), 201)["link"]
    with another_person(api, service.sessions) as person:
        name = told(person.get("/me"))["name"]
        secret = link.rsplit("=", 1)[1]
        told(person.post("/invitations/accept", json={"secret": secret}))
    told(api.post(f"/projects/{project.id}/invitations", json={"role": "viewer"}), 201)
    page.goto(f"/projects/{project.id}/people")
    page.get_by_role("button", name="Revoke the invitation as viewer").click()
    sure(page, "Revoke the invitation as viewer?").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("No open invitations")).to_be_visible()
    page.get_by_role("button", name=f"Remove {name}").click()
    sure(page, f"Remove {name}?").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("cell", name=name)).to_have_count(0)
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Remove disc").click()
    dialog = sure(page, "Remove disc?")
    expect(dialog).to_contain_text("its queue of 0 images")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_label("Name of disc")).to_have_count(0)
    assert told(api.get(f"/projects/{project.id}/labels")) == []


def test_what_cannot_go_says_why_in_the_dialog(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}/people")
    page.get_by_role("button", name="Leave the project").click()
    dialog = sure(page, "Leave the project?")
    dialog.get_by_role("button", name="Leave the project").click()
    expect(dialog.get_by_role("alert")).to_contain_text("owner")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert len(told(api.get(f"/projects/{project.id}/members"))) == 1


def test_the_audit_log_is_filtered_by_person_action_and_day_and_goes_into_a_file(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=2)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)
    page.goto(f"/projects/{project.id}/audit")
    rows = page.locator("tbody tr")
    expect(rows.filter(has_text=re.compile("Create label"))).to_have_count(2)
    page.get_by_label("Action").select_option("Upload")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("accrue")
    page.get_by_label("Action").select_option("Create label")
    expect(rows).to_have_count(2)
    page.get_by_label("Who").select_option("accrue")
    expect(rows).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="All as CSV").click()
    lines = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [line["action"] for line in lines] == ["create_label"] * 2
    page.get_by_label("Since").fill("2999-01-01")
    expect(page.get_by_text("Nothing was done like that")).to_be_visible()


def test_more_of_the_audit_log_that_comes_after_another_choice_is_not_shown(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=1)
    held: list[Route] = []

    def in_parts(route: Route) -> None:
        if "before=" in route.request.url:
            held.append(route)
        else:
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), "next": 10**9})

    page.route(re.compile(r"/api/.*/audit(\?|$)"), in_parts)
    page.goto(f"/projects/{project.id}/audit")
    rows = page.locator("tbody tr")
    with page.expect_request(re.compile("before=")):
        page.get_by_role("button", name="Show more").click()
    page.get_by_label("Action").select_option("Upload")
    expect(rows).to_have_count(1)
    with page.expect_response(re.compile("before=")):
        held.pop().continue_()
    with page.expect_request(re.compile("before=")):
        page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(1)
    held.pop().fulfill(json={"entries": [], "next": None})
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)
    expect(rows).to_have_count(1)
