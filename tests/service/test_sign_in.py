"""Signing in: passwords, the cookie, where a request may come from, and what happens to those who guess."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import update
from starlette.testclient import TestClient

from service.accounts import actions, passwords
from service.accounts.actions import LOGIN_IDLE, LOGIN_LONGEST, create_user
from service.accounts.sign_in import FREE_FOR_NAME, FREE_FROM_ADDRESS, REMEMBERED, forget_failures
from service.clock import now
from service.db import reading, unit_of_work
from service.tables import SignInFailure, Token, TokenKind, User
from tests.factories import told
from tests.service.conftest import Alone

PASSWORD = "correct horse battery"
OWN = {"Origin": "https://test"}


@pytest.fixture
def ada(alone: Alone) -> str:
    """The name of somebody who has a password."""
    with unit_of_work(alone.sessions) as session:
        return create_user(session, "ada", password_hash=passwords.hashed(PASSWORD)).name


@pytest.fixture
def browser(alone: Alone) -> httpx.Client:
    """A browser on https, with nobody signed in."""
    return TestClient(alone.api.app, base_url="https://test/api", headers=OWN)  # type: ignore[attr-defined]


def sign_in(
    client: httpx.Client, name: str = "ada", password: str = PASSWORD, status: int = 200
) -> httpx.Response:
    answer = client.post("/auth/login", json={"name": name, "password": password})
    assert answer.status_code == status, answer.text
    return answer


def test_a_login_lives_in_a_cookie_that_no_script_and_no_other_site_sees(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    answer = sign_in(browser)
    assert answer.json()["name"] == ada
    name, _, rest = answer.headers["set-cookie"].partition("=")
    attributes = {each.strip().lower() for each in rest.split(";")[1:]}
    assert name == "__Host-accrue"
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes
    assert not any(each.startswith("domain") for each in attributes)
    assert told(browser.get("/me"))["name"] == ada
    with reading(alone.sessions) as session:
        assert rest.split(";")[0] not in [token.digest for token in session.query(Token)]


def test_without_https_the_cookie_has_no_prefix_that_needs_it(alone: Alone, ada: str) -> None:
    plain = TestClient(alone.api.app, base_url="http://test/api")  # type: ignore[attr-defined]
    cookie = sign_in(plain).headers["set-cookie"]
    assert cookie.startswith("accrue=") and "secure" not in cookie.lower()
    assert told(plain.get("/me"))["name"] == ada


def test_signing_out_ends_the_login_in_the_database_too(browser: httpx.Client, ada: str) -> None:
    sign_in(browser)
    kept = dict(browser.cookies)
    assert browser.post("/auth/logout").status_code == 204
    assert not browser.cookies
    browser.cookies.update(kept)
    assert browser.get("/me").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://test.evil.example"},
        {"Origin": "https://test:8443"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://[", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_change_that_another_site_sends_is_refused(
    browser: httpx.Client, ada: str, headers: dict[str, str]
) -> None:
    sign_in(browser)
    del browser.headers["Origin"]
    refused = told(browser.post("/projects", json={"name": "p"}, headers=headers), 403)
    assert refused["code"] == "foreign_origin" and "ACCRUE_PUBLIC_URL" in refused["detail"]
    login = browser.post("/auth/login", json={"name": ada, "password": PASSWORD}, headers=headers)
    assert login.status_code == 403
    assert told(browser.get("/projects", headers=headers)) == []


def test_a_cookie_without_a_word_about_where_it_comes_from_changes_nothing(
    browser: httpx.Client, ada: str
) -> None:
    sign_in(browser)
    del browser.headers["Origin"]
    assert browser.post("/projects", json={"name": "p"}).status_code == 403
    told(browser.post("/projects", json={"name": "p"}, headers={"Sec-Fetch-Site": "same-origin"}), 201)
    told(browser.post("/projects", json={"name": "q"}, headers={"Origin": "https://test:443"}), 201)


def test_behind_a_proxy_that_keeps_its_name_to_itself_the_setting_says_it(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    state = alone.api.app.state  # type: ignore[attr-defined]
    inside = TestClient(alone.api.app, base_url="http://10.0.0.7:8000/api")  # type: ignore[attr-defined]
    inside.headers["Origin"] = "https://annotate.example.org"
    assert inside.post("/auth/login", json={"name": ada, "password": PASSWORD}).status_code == 403
    state.rules = replace(state.rules, public_url="https://annotate.example.org")
    assert sign_in(inside).headers["set-cookie"].startswith("__Host-accrue=")
    project = told(alone.api.post("/projects", json={"name": "p"}), 201)
    invitation = told(alone.api.post(f"/projects/{project['id']}/invitations", json={}), 201)
    assert invitation["link"].startswith("https://annotate.example.org/#invitation=")


def test_a_token_in_a_header_needs_no_origin(alone: Alone) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    told(alone.api.post("/projects", json={"name": "p"}, headers=foreign), 201)


def test_a_personal_token_can_be_carried_in_the_cookie(alone: Alone, browser: httpx.Client) -> None:
    token = alone.api.headers["Authorization"].removeprefix("Bearer ")
    told(browser.post("/auth/token", json={"token": token}))
    assert told(browser.get("/me"))["name"] == "somebody"
    assert browser.post("/auth/logout").status_code == 204
    assert browser.get("/me").status_code == 401
    told(alone.api.get("/me"))  # it only left the cookie
    assert browser.post("/auth/token", json={"token": "acc_wrong"}).status_code == 401


def test_a_login_lasts_as_long_as_it_is_used_but_not_for_ever(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    sign_in(browser)

    def after(age: timedelta, idle: timedelta) -> int:
        with unit_of_work(alone.sessions) as session:
            dates = {
                "created_at": now() - age,
                "expires_at": now() - idle + LOGIN_IDLE,
                "used_at": now() - idle,
            }
            session.execute(update(Token).where(Token.kind == TokenKind.LOGIN).values(dates))
        return browser.get("/me").status_code

    def ends() -> timedelta:
        with reading(alone.sessions) as session:
            login = session.query(Token).filter_by(kind=TokenKind.LOGIN).one()
            assert login.expires_at is not None
            return login.expires_at - now()

    assert after(LOGIN_IDLE, LOGIN_IDLE - timedelta(hours=1)) == 200
    assert LOGIN_IDLE - timedelta(minutes=1) < ends() <= LOGIN_IDLE
    assert after(LOGIN_LONGEST - timedelta(days=1), timedelta(days=1)) == 200
    assert ends() <= timedelta(days=1)
    assert after(LOGIN_IDLE, LOGIN_IDLE + timedelta(seconds=1)) == 401


def test_the_use_of_a_token_is_written_down_now_and_then(alone: Alone) -> None:
    def used() -> object:
        with reading(alone.sessions) as session:
            return session.query(Token).one().used_at

    assert used() is None
    told(alone.api.get("/me"))
    first = used()
    told(alone.api.get("/me"))
    assert first is not None and used() == first


def test_whoever_guesses_waits_longer_and_longer_and_so_does_the_right_password(
    alone: Alone, browser: httpx.Client, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = timedelta(minutes=1)  # a second may be over before the next attempt
    monkeypatch.setattr("service.accounts.sign_in.FIRST_PAUSE", pause)
    for _ in range(FREE_FOR_NAME):
        assert sign_in(browser, password="wrong", status=401).json()["code"] == "sign_in_failed"
    failed(alone, timedelta(0))
    waited = sign_in(browser, status=429)
    assert waited.json()["code"] == "too_many_attempts"
    assert 0 < int(waited.headers["Retry-After"]) == waited.json()["retry_after"] <= 60
    failed(alone, pause)
    sign_in(browser, password="wrong", status=401)
    failed(alone, timedelta(0))
    assert 60 < int(sign_in(browser, status=429).headers["Retry-After"]) <= 120
    failed(alone, REMEMBERED)
    with unit_of_work(alone.sessions) as session:
        assert forget_failures(session) == FREE_FOR_NAME + 1
    sign_in(browser)
    with reading(alone.sessions) as session:
        assert session.query(SignInFailure).count() == 0


def failed(alone: Alone, ago: timedelta) -> None:
    """As if every failure had been that long ago, however long the machine took for them."""
    with unit_of_work(alone.sessions) as session:
        session.execute(update(SignInFailure).values(at=now() - ago))


def guessed(alone: Alone, name: str, address: str, times: int) -> None:
    with unit_of_work(alone.sessions) as session:
        session.add_all(SignInFailure(name=name, address=address) for _ in range(times))


def test_whoever_guesses_elsewhere_shuts_nobody_out_from_where_they_have_signed_in_before(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    sign_in(browser)
    guessed(alone, ada, "stranger", FREE_FOR_NAME + 8)
    assert browser.post("/auth/logout").status_code == 204
    sign_in(browser)
    guessed(alone, ada, "testclient", FREE_FOR_NAME + 8)
    sign_in(browser, status=429)


def test_who_was_asked_in_by_a_link_is_not_shut_out_either(alone: Alone, browser: httpx.Client) -> None:
    project = told(alone.api.post("/projects", json={"name": "p"}), 201)
    secret = told(alone.api.post(f"/projects/{project['id']}/invitations", json={}), 201)["secret"]
    guessed(alone, "grace", "stranger", FREE_FOR_NAME + 8)
    sign_in(browser, name="grace", status=429)
    body = {"secret": secret, "name": "grace", "password": PASSWORD}
    told(browser.post("/invitations/accept", json=body))
    sign_in(browser, name="grace")


def test_names_are_not_guessed_one_by_one_from_one_address(alone: Alone, browser: httpx.Client) -> None:
    with unit_of_work(alone.sessions) as session:
        tried = [SignInFailure(name=f"user {n}", address="testclient") for n in range(FREE_FROM_ADDRESS + 8)]
        session.add_all(tried)
    sign_in(browser, name="another", password="wrong", status=429)


def test_a_name_that_nobody_has_is_told_and_takes_as_much_work_as_a_wrong_password(
    browser: httpx.Client, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = []
    verify = PasswordHasher.verify

    def noted(hasher: PasswordHasher, stored: str, password: str) -> bool:
        parameters.append(extract_parameters(stored))
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", noted)
    answers = [sign_in(browser, name=name, password="wrong", status=401).json() for name in (ada, "nobody")]
    assert answers[0] == answers[1]
    assert len(parameters) == 2 and parameters[0] == parameters[1]


def test_passwords_are_argon2id_at_least_as_costly_as_owasp_asks(alone: Alone, ada: str) -> None:
    with reading(alone.sessions) as session:
        stored = session.query(User).filter_by(name=ada).one().password_hash
    assert stored is not None and stored.startswith("$argon2id$")
    made_with = extract_parameters(stored)
    assert made_with.memory_cost >= 19 * 1024 and made_with.time_cost >= 2
    assert passwords.matches(stored, PASSWORD) and not passwords.matches(None, PASSWORD)
    assert passwords.matches(passwords.hashed("Ångström-unit"), "A\u030angstro\u0308m-unit")


def test_a_password_hashed_when_less_was_asked_for_is_hashed_again(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    weaker = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    with unit_of_work(alone.sessions) as session:
        session.query(User).filter_by(name=ada).one().password_hash = weaker
    sign_in(browser)
    with reading(alone.sessions) as session:
        stored = session.query(User).filter_by(name=ada).one().password_hash
    assert stored is not None and not passwords.outdated(stored) and passwords.matches(stored, PASSWORD)


def test_another_password_ends_the_other_logins(alone: Alone, browser: httpx.Client, ada: str) -> None:
    elsewhere = TestClient(alone.api.app, base_url="https://test/api", headers=OWN)  # type: ignore[attr-defined]
    for client in (browser, elsewhere):
        sign_in(client)
    path, another = "/auth/password", "another long password"
    assert browser.post(path, json={"old": "wrong", "new": another}).status_code == 401
    assert told(browser.post(path, json={"old": PASSWORD, "new": "short"}), 422)["code"] == "invalid"
    assert browser.post(path, json={"old": PASSWORD, "new": another}).status_code == 204
    assert elsewhere.get("/me").status_code == 401
    told(browser.get("/me"))
    sign_in(elsewhere, status=401)
    sign_in(elsewhere, password=another)


def test_another_password_ends_what_browsers_do_with_a_personal_token_and_not_the_token(
    alone: Alone, browser: httpx.Client, ada: str
) -> None:
    with unit_of_work(alone.sessions) as session:
        user = session.query(User).filter_by(name=ada).one()
        token = actions.create_token(session, user, "script")
    elsewhere = TestClient(alone.api.app, base_url="https://test/api", headers=OWN)  # type: ignore[attr-defined]
    for client in (browser, elsewhere):
        told(client.post("/auth/token", json={"token": token}))
    body = {"old": PASSWORD, "new": "another long password"}
    assert browser.post("/auth/password", json=body).status_code == 204
    assert told(browser.get("/me"))["name"] == ada
    assert elsewhere.get("/me").status_code == 401
    told(alone.api.get("/me", headers={"Authorization": f"Bearer {token}"}))
    told(elsewhere.post("/auth/token", json={"token": token}))

    secret = told(alone.api.post(f"/users/{user.id}/link"), 201)["secret"]
    reset = {"secret": secret, "password": "a third long password"}
    told(alone.api.post("/invitations/accept", json=reset))
    assert [client.get("/me").status_code for client in (browser, elsewhere)] == [401, 401]


def test_nobody_is_a_disabled_person_any_more(alone: Alone, browser: httpx.Client, ada: str) -> None:
    sign_in(browser)
    with unit_of_work(alone.sessions) as session:
        user = session.query(User).filter_by(name=ada).one()
        token = actions.create_token(session, user, "script")
    disabled = told(alone.api.post(f"/users/{user.id}/disable"))
    assert disabled["disabled_at"] is not None
    assert browser.get("/me").status_code == 401
    script = {"Authorization": f"Bearer {token}"}
    assert alone.api.get("/me", headers=script).status_code == 401
    sign_in(browser, status=401)
    told(alone.api.post(f"/users/{user.id}/enable"))
    sign_in(browser)
    assert alone.api.get("/me", headers=script).status_code == 401  # revoked for good
    me = told(alone.api.get("/me"))["id"]
    assert told(alone.api.post(f"/users/{me}/disable"), 409)["code"] == "conflict"
    assert [each["name"] for each in told(alone.api.get("/users"))] == [ada, "somebody"]
