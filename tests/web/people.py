"""People in front of browsers: with a role, with a password."""

from dataclasses import dataclass
from uuid import uuid4

from playwright.sync_api import Page, expect

from service.accounts.actions import create_token, create_user
from service.accounts.passwords import hashed
from service.db import unit_of_work
from service.tables import Membership, Role
from tests.conftest import ServiceUnderTest

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    name: str
    token: str


def a_person(service: ServiceUnderTest, project_id: int, role: Role) -> Person:
    """Somebody new with that role in the project, who can sign in with PASSWORD."""
    with unit_of_work(service.sessions) as session:
        user = create_user(session, f"{role} {uuid4().hex[:8]}", password_hash=hashed(PASSWORD))
        session.add(Membership(project_id=project_id, user_id=user.id, role=role))
        return Person(user.name, create_token(session, user, "test"))


def come_in(page: Page, link: str, name: str) -> Page:
    """Open a link to join, say who it is, and be in."""
    page.goto(link)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("A password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#who")).to_have_text(name)
    return page


def end_login(page: Page) -> None:
    """The login ends once the page has read all that it reads by itself: what is done next finds it out."""
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()


def sign_in_again(page: Page) -> None:
    """Answer the dialog that asks for the password in place."""
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
