"""Signing in and out, one's own tokens and password, and for the administrator the people."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from service import browser
from service.accounts import actions, passwords, queries
from service.accounts.actions import Limits
from service.accounts.schemas import (
    Credentials,
    Me,
    NewToken,
    PasswordChange,
    PlainToken,
    TokenMade,
    TokenOut,
    UserOut,
)
from service.accounts.sign_in import proven, sign_in
from service.clock import now
from service.db import reading
from service.dependencies import Caller, Rules, Sessions, Transaction
from service.errors import NotAuthenticated
from service.ids import Id
from service.tables import TokenKind

router = APIRouter(tags=["accounts"])


@router.get("/me")
async def me(caller: Caller) -> Me:
    return Me.model_validate(caller)


@router.post("/auth/login")
def login(
    credentials: Credentials, request: Request, response: Response, sessions: Sessions, rules: Rules
) -> Me:
    """Sign a browser in; the login is in the cookie that comes with the answer."""
    user, token = sign_in(sessions, credentials.name, credentials.password, browser.address_of(request))
    browser.keep_login(response, request, rules.public_url, token)
    return Me.model_validate(user)


@router.post("/auth/token")
def login_with_token(
    given: PlainToken, request: Request, response: Response, sessions: Sessions, rules: Rules
) -> Me:
    """Put a personal token into the browser's cookie, so that the page works with it.

    Like any login it ends with a new password, and the token stays.
    """
    with reading(sessions) as session:
        person = queries.user_of_token(session, given.token)
    if person is None or person.kind is not TokenKind.PERSONAL:
        raise NotAuthenticated("This token is not valid, or not any more.")
    browser.keep_login(response, request, rules.public_url, queries.sealed(given.token, person.seal))
    return Me.model_validate(person)


@router.post("/auth/logout", status_code=204)
def logout(
    request: Request, response: Response, caller: Caller, transaction: Transaction, rules: Rules
) -> None:
    """End this browser's login; a personal token stays good, and only leaves the cookie."""

    def effect(session: Session) -> None:
        if caller.kind is TokenKind.LOGIN:
            actions.revoke_token(session, caller.id, caller.token_id)

    transaction.do(effect)
    browser.forget_login(response, request, rules.public_url)


@router.post("/auth/password", status_code=204)
def change_password(
    change: PasswordChange,
    request: Request,
    response: Response,
    caller: Caller,
    sessions: Sessions,
    transaction: Transaction,
    rules: Rules,
) -> None:
    """Choose another password; other browsers are signed out, personal tokens stay."""
    proven(sessions, caller.name, change.old, browser.address_of(request))
    password_hash = passwords.hashed(change.new)

    def effect(session: Session) -> None:
        user = queries.user(session, caller.id)
        actions.set_password(session, user, password_hash, keep_login=caller.token_id)

    transaction.do(effect)
    token = browser.login_of(request, rules.public_url)
    if token and caller.kind is TokenKind.PERSONAL:
        seal = queries.seal_of(password_hash)
        browser.keep_login(response, request, rules.public_url, queries.sealed(token, seal))


@router.get("/tokens")
def list_tokens(caller: Caller, sessions: Sessions) -> list[TokenOut]:
    with reading(sessions) as session:
        return [TokenOut.model_validate(each) for each in queries.personal_tokens(session, caller.id)]


@router.post("/tokens", status_code=201)
def create_token(new: NewToken, caller: Caller, transaction: Transaction) -> TokenMade:
    """A personal token for a script, shown this once."""

    def effect(session: Session) -> TokenMade:
        ends = now() + timedelta(days=new.days) if new.days is not None else None
        limits = Limits(new.role, new.project_id, ends)
        token, plain = actions.create_personal_token(session, caller, new.name, limits)
        return TokenMade.model_validate(token).model_copy(update={"token": plain})

    return transaction(effect, TokenMade)


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(token_id: Id, caller: Caller, transaction: Transaction) -> None:
    transaction.do(lambda session: actions.revoke_token(session, caller.id, token_id))


@router.get("/users")
def list_users(sessions: Sessions) -> list[UserOut]:
    with reading(sessions) as session:
        return [UserOut.model_validate(each) for each in queries.users(session)]


@router.post("/users/{user_id}/disable")
def disable_user(user_id: Id, caller: Caller, transaction: Transaction) -> UserOut:
    """Nobody can be this person any more; what they did stays theirs."""
    return transaction(
        lambda session: UserOut.model_validate(actions.disable(session, user_id, by=caller.id)), UserOut
    )


@router.post("/users/{user_id}/enable")
def enable_user(user_id: Id, transaction: Transaction) -> UserOut:
    return transaction(lambda session: UserOut.model_validate(actions.enable(session, user_id)), UserOut)
