"""The page in a real browser, against a running service."""

import shutil
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from commands.serve import first_admin_link
from service.db import unit_of_work
from service.page import BUILT
from service.tables import User
from tests.conftest import ServiceUnderTest
from tests.factories import accept_next, png, told, upload

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert found, "the page needs Chromium on the PATH (on Debian: apt-get install chromium)"
    assert (BUILT / "index.html").exists(), "the page is not built: make page"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: ServiceUnderTest) -> Iterator[Page]:
    """A fresh page; whatever it logs as an error or loads in vain fails the test."""
    with browser.new_context(base_url=service.base_url) as context:
        page = context.new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("requestfailed", lambda request: trouble.append(request.url))
        yield page
        assert trouble == []


def a_named_project(api: httpx.Client, name: str) -> int:
    """A project of four images of which two are accepted; the id of its label."""
    project = told(api.post("/projects", json={"name": name}), 201)["id"]
    label = int(told(api.post(f"/projects/{project}/labels", json={"name": "left disc"}), 201)["id"])
    told(upload(api, project, {f"{i}.png": png() for i in range(4)}), 201)
    accept_next(api, label, clicks=3)
    accept_next(api, label, clicks=1)
    return label


def test_a_sign_in_link_opens_the_projects_and_leaves_the_address_bar(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    name = f"page {uuid4()}"
    a_named_project(api, name)
    page.goto(f"/#token={service.token}")
    project = page.locator("#projects > *").filter(has_text=name)
    expect(project).to_contain_text("left disc")
    expect(project.get_by_role("progressbar").or_(project.locator("progress"))).to_have_count(1)
    expect(project.locator("svg circle")).to_have_count(2)
    assert service.token not in page.url


def test_the_curve_follows_without_a_reload(page: Page, service: ServiceUnderTest, api: httpx.Client) -> None:
    name = f"page {uuid4()}"
    label = a_named_project(api, name)
    page.goto(f"/#token={service.token}")
    points = page.locator("#projects > *").filter(has_text=name).locator("svg circle")
    expect(points).to_have_count(2)
    accept_next(api, label)
    expect(points).to_have_count(3, timeout=15_000)


def test_a_wrong_password_is_refused_and_a_wrong_link_explained(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name", exact=True).fill("nobody")
    page.get_by_label("Password", exact=True).fill("not a password")
    page.keyboard.press("Enter")
    expect(page.get_by_text("name or the password is wrong")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("nobody")
    page.goto("/#token=acc_wrong")
    expect(page.get_by_text("token is not valid")).to_be_visible()
    page.goto("/#invitation=wrong")
    expect(page.get_by_text("link is not one of ours")).to_be_visible()


def test_names_are_shown_as_text_and_never_run(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    name = f"<img src=x onerror=document.title='run'> {uuid4()}"
    told(api.post("/projects", json={"name": name}), 201)
    page.goto(f"/#token={service.token}")
    expect(page.get_by_text(name)).to_be_visible()
    assert page.title() != "run"


def test_the_first_link_makes_the_admin_who_asks_in_a_second_person(
    page: Page, browser: Browser, service: ServiceUnderTest
) -> None:
    ada, grace, password = f"ada {uuid4()}", f"grace {uuid4()}", "correct horse battery"
    with unit_of_work(service.sessions) as session:  # as if nobody had come yet
        session.query(User).update({"password_hash": None})
    link = first_admin_link(service.settings, service.base_url)
    assert link is not None
    page.goto(link)
    page.get_by_label("Your name").fill(ada)
    page.get_by_label("A password").fill(password)
    page.keyboard.press("Enter")
    expect(page.locator("#who")).to_have_text(ada)
    assert first_admin_link(service.settings, service.base_url) is None
    assert page.evaluate("document.cookie") == ""  # no script sees it

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name", exact=True).fill(ada)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")
    expect(page.locator("#who")).to_have_text(ada)
    page.reload()
    expect(page.locator("#who")).to_have_text(ada)

    name = f"shared {uuid4()}"
    with service.client() as api:
        told(api.post("/projects", json={"name": name}), 201)
    project = page.locator("#projects > *").filter(has_text=name)
    project.get_by_label("Role").select_option("reviewer")
    project.get_by_role("button", name="Make an invitation").click()
    expect(project.locator("output")).to_contain_text("#invitation=")
    with browser.new_context(base_url=service.base_url) as context:
        other = context.new_page()
        other.goto(project.locator("output").inner_text())
        expect(other.get_by_text(f"{ada} asks you in as reviewer")).to_be_visible()
        assert "invitation" not in other.url
        other.get_by_label("Your name").fill(grace)
        other.get_by_label("A password").fill(password)
        other.keyboard.press("Enter")
        expect(other.locator("#who")).to_have_text(grace)
        expect(other.locator("#projects > *")).to_have_count(1)
        expect(other.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(other.get_by_role("button", name="Make an invitation")).to_have_count(0)


def test_a_login_that_has_ended_asks_for_the_password_in_place(page: Page, service: ServiceUnderTest) -> None:
    page.goto(f"/#token={service.token}")
    expect(page.locator("#who")).to_have_text("accrue")
    page.context.clear_cookies()
    expect(page.get_by_text("You have been signed out")).to_be_visible(timeout=15_000)
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
