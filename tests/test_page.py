"""The page in a real browser, against a running service."""

import shutil
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import ServiceUnderTest
from tests.factories import accept_next, png, told, upload

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert found, "the page needs Chromium on the PATH (on Debian: apt-get install chromium)"
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


def test_a_wrong_token_is_refused_and_a_right_one_signs_in_and_out(
    page: Page, service: ServiceUnderTest
) -> None:
    page.goto("/")
    page.get_by_label("token").fill("acc_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("not valid")).to_be_visible()
    page.get_by_label("token").fill(service.token)
    page.keyboard.press("Enter")
    expect(page.get_by_text("admin")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("token")).to_be_visible()


def test_names_are_shown_as_text_and_never_run(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    name = f"<img src=x onerror=document.title='run'> {uuid4()}"
    told(api.post("/projects", json={"name": name}), 201)
    page.goto(f"/#token={service.token}")
    expect(page.get_by_text(name)).to_be_visible()
    assert page.title() != "run"
