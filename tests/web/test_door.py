"""The ways in: a password, links that work once, a token in a link; and signing in again in place."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from commands.serve import first_admin_link
from service.db import unit_of_work
from service.tables import Role, User
from tests.conftest import ServiceUnderTest
from tests.factories import told
from tests.web.conftest import SignIn
from tests.web.people import PASSWORD, a_person, come_in, end_login, sign_in_again


@pytest.fixture
def page(browser: Browser, service: ServiceUnderTest) -> Iterator[Page]:
    """A page of a stranger; what it throws, or loads in vain, fails the test."""
    with browser.new_context(base_url=service.base_url) as context:
        page = context.new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda said: trouble.append(said.text) if "Security Policy" in said.text else None)
        yield page
        assert trouble == []


def fill_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def test_a_wrong_password_is_refused_and_a_wrong_link_explained(page: Page) -> None:
    page.goto("/projects/1/people")
    fill_in(page, "nobody", "not a password")
    expect(page.get_by_text("name or the password is wrong")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("nobody")
    page.goto("/#token=acc_wrong")
    expect(page.get_by_text("token is not valid")).to_be_visible()
    page.goto("/#invitation=wrong")
    expect(page.get_by_text("link is not one of ours")).to_be_visible()
    page.goto("/join")
    expect(page.get_by_text("This address has none")).to_be_visible()


def test_a_token_in_a_link_signs_in_and_leaves_the_address_bar(page: Page, service: ServiceUnderTest) -> None:
    page.goto(f"/#token={service.token}")
    expect(page.locator("#who")).to_have_text("accrue")
    assert service.token not in page.url
    assert page.evaluate("document.cookie") == ""  # no script sees it


def test_a_link_to_somebody_elses_account_asks_first_and_can_be_declined(
    sign_in: SignIn, service: ServiceUnderTest, api: httpx.Client
) -> None:
    project = told(api.post("/projects", json={"name": f"project {uuid4()}"}), 201)["id"]
    ada, grace = (a_person(service, project, Role.ANNOTATOR) for _ in range(2))
    page = sign_in(ada.token).new_page()
    page.goto(f"/#token={grace.token}")
    dialog = page.get_by_role("dialog", name=f"Sign in as {grace.name}?")
    expect(dialog.get_by_text(f"You are signed in as {ada.name}")).to_be_visible()
    assert grace.token not in page.url
    stay = dialog.get_by_role("button", name=f"Stay {ada.name}")
    expect(stay).to_be_focused()
    stay.click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#who")).to_have_text(ada.name)
    page.reload()
    expect(page.locator("#who")).to_have_text(ada.name)

    page.goto(f"/account#token={grace.token}")
    page.evaluate(
        "addEventListener('beforeunload', (event) => event.preventDefault())"
    )  # as while work goes on
    dialog.get_by_role("button", name=f"Sign in as {grace.name}").click()
    expect(page.locator("#who")).to_have_text(grace.name)
    expect(dialog).to_have_count(0)
    assert page.url.endswith("/account")


def test_a_link_of_ones_own_asks_nothing_and_one_that_does_not_work_changes_nothing(
    sign_in: SignIn, service: ServiceUnderTest
) -> None:
    page = sign_in().new_page()
    page.goto(f"/#token={service.token}")
    expect(page.locator("#who")).to_have_text("accrue")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto("/account#token=acc_wrong")
    expect(page.get_by_text("token is not valid")).to_be_visible()
    expect(page.locator("#who")).to_have_text("accrue")


def test_the_first_link_makes_the_admin_who_asks_in_a_second_person(
    page: Page, browser: Browser, service: ServiceUnderTest, api: httpx.Client
) -> None:
    ada, grace = f"ada {uuid4()}", f"grace {uuid4()}"
    with unit_of_work(service.sessions) as session:  # as if nobody had come yet
        session.query(User).update({"password_hash": None})
    link = first_admin_link(service.settings, service.base_url)
    assert link is not None
    come_in(page, link, ada)
    assert first_admin_link(service.settings, service.base_url) is None

    page.get_by_role("button", name="Sign out").click()
    fill_in(page, ada, PASSWORD)
    expect(page.locator("#who")).to_have_text(ada)

    name = f"shared {uuid4()}"
    project = told(api.post("/projects", json={"name": name}), 201)["id"]
    page.goto(f"/projects/{project}/people")
    invitations = page.get_by_role("region", name="Invitations")
    invitations.get_by_label("Role").select_option("reviewer")
    invitations.get_by_role("button", name="Make an invitation").click()
    expect(invitations.locator("output")).to_contain_text("#invitation=")
    with browser.new_context(base_url=service.base_url) as context:
        other = context.new_page()
        link = invitations.locator("output").inner_text()
        other.goto(link)
        expect(other.get_by_text(f"{ada} asks you in as reviewer")).to_be_visible()
        assert "invitation" not in other.url
        come_in(other, link, grace)
        expect(other.locator("#projects > *")).to_have_count(1)
        other.get_by_role("link", name=name).click()
        expect(other.get_by_role("heading", name=name)).to_be_visible()
        expect(other.get_by_role("link", name="Settings")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("cell", name=grace, exact=True)).to_be_visible()


def test_a_login_that_has_ended_is_renewed_in_place_and_nothing_is_lost(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    ada = f"ada {uuid4()}"
    project = told(api.post("/projects", json={"name": f"project {uuid4()}"}), 201)["id"]
    asked = told(api.post(f"/projects/{project}/invitations", json={"role": "manager"}), 201)
    come_in(page, asked["link"], ada)
    page.goto(f"/projects/{project}")
    page.get_by_label("Another label").fill("optic disc")
    end_login(page)
    page.get_by_role("button", name="Add the label").click()
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog.get_by_text("nothing is lost")).to_be_visible()
    expect(dialog.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Another label")).to_have_value("optic disc")
    sign_in_again(page)
    expect(page.get_by_role("region", name="optic disc")).to_be_visible()
    labels = told(api.get(f"/projects/{project}/labels"))
    assert [label["name"] for label in labels] == ["optic disc"]


def test_names_are_shown_as_text_and_never_run(sign_in: SignIn, api: httpx.Client) -> None:
    name = f"<img src=x onerror=document.title='run'> {uuid4()}"
    told(api.post("/projects", json={"name": name}), 201)
    page = sign_in().new_page()
    page.goto("/")
    expect(page.get_by_text(name)).to_be_visible()
    assert page.title() != "run"
