"""A request with an Idempotency-Key has one effect and one answer, however often it is sent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import delete, update
from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import UploadFile

from service.audit import actions as audit
from service.clock import now
from service.db import insert_into, reading, rows_changed, unit_of_work
from service.errors import KeyInvalid, KeyReused
from service.tables import IdempotencyKey

Answer = TypeVar("Answer", bound=BaseModel)

LONGEST_KEY = 255
KEPT = timedelta(days=2)


class Nothing(BaseModel):
    """The answer of an effect that has nothing to tell."""


@dataclass(slots=True)
class Once:
    """One unit of work in the name of one user; with a key, repeated by nobody."""

    sessions: sessionmaker[Session]
    user_id: int
    key: str | None
    request_digest: str
    entry: audit.Entry
    repeated: bool = False

    def __call__(self, effect: Callable[[Session], Answer], kind: type[Answer]) -> Answer:
        """What ``effect`` answers, committed; or what it answered when the key was first used.

        The key is claimed first, in the transaction of the effect: a copy that arrives meanwhile
        waits for the claim to be committed and then finds the answer. An effect that raises
        leaves no key behind, so the request can be sent again. What an answer names in ``SHOWN_ONCE``
        is a secret: it is not kept, and who asks again gets the answer without it.
        """
        with unit_of_work(self.sessions) as session:
            if self.key is None:
                return self._told(session, effect(session))
            if not self._claimed(session, self.key):
                self.repeated = True
                return kind.model_validate(self._recorded(session, self.key).answer)
            answer = self._told(session, effect(session))
            session.execute(
                update(IdempotencyKey)
                .where(IdempotencyKey.user_id == self.user_id, IdempotencyKey.key == self.key)
                .values(answer=answer.model_dump(mode="json", exclude=getattr(answer, "SHOWN_ONCE", None)))
            )
            return answer

    def do(self, effect: Callable[[Session], object]) -> None:
        """An effect that has nothing to tell, the same way."""

        def answering(session: Session) -> Nothing:
            effect(session)
            return Nothing()

        self(answering, Nothing)

    def known(self, kind: type[Answer]) -> Answer | None:
        """What was answered when the key was first used; None when it is new, or its effect under way."""
        if self.key is None:
            return None
        with reading(self.sessions) as session:
            if session.get(IdempotencyKey, (self.user_id, self.key)) is None:
                return None
            return kind.model_validate(self._recorded(session, self.key).answer)

    def part(self, content: str) -> "Once":
        """A unit of work of its own, with ``content``, of a request that is too long for one.

        It stays done when the request fails after it, and the same request finds its answer when it is sent
        again. The audit log has a line for each.
        """
        key = self.key and sha256(f"{self.key} {content}".encode()).hexdigest()
        return replace(self, key=key)

    def mention(self, **told: Any) -> None:
        """Say more in the audit log than the operation and what its path named."""
        self.entry.told.update(told)

    def _told(self, session: Session, answer: Answer) -> Answer:
        """The answer, with a line in the audit log of the same transaction."""
        audit.record(session, self.entry, answer_id=getattr(answer, "id", None))
        return answer

    def _claimed(self, session: Session, key: str) -> bool:
        claim = insert_into(session, IdempotencyKey).values(
            user_id=self.user_id,
            key=key,
            request_digest=self.request_digest,
            answer=None,
            created_at=now(),
        )
        return rows_changed(session, claim.on_conflict_do_nothing()) == 1

    def _recorded(self, session: Session, key: str) -> IdempotencyKey:
        row = session.get_one(IdempotencyKey, (self.user_id, key))
        if row.request_digest != self.request_digest:
            raise KeyReused(
                f"The Idempotency-Key {key!r} was used for another request. Use a new key for a "
                "new request, and the same key only to repeat a request unchanged."
            )
        return row


def forget_old_keys(session: Session) -> int:
    """Delete the keys that no client repeats any more and say how many."""
    old = delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEPT)
    return rows_changed(session, old)


def checked_key(key: str | None) -> str | None:
    if key is None or (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        return key
    raise KeyInvalid(f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters.")


async def digest_of(request: Request) -> str:
    """What makes two requests the same: method, address and body, files included."""
    digest = sha256()
    address = f"{request.method} {request.url.path}?{request.url.query}"
    if request.headers.get("content-type", "").startswith("multipart/"):
        parts = [address.encode()]
        for name, value in (await request.form()).multi_items():
            parts += [name.encode(errors="surrogatepass"), await _content(value)]
    else:
        parts = [address.encode(), await request.body()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


async def _content(value: UploadFile | str) -> bytes:
    """A form field as bytes; a file as its name and the digest of what is in it."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    digest = sha256((value.filename or "").encode(errors="surrogatepass"))
    while chunk := await value.read(1024 * 1024):
        digest.update(chunk)
    await value.seek(0)
    return digest.digest()
