"""Passwords: argon2id, at least as costly as OWASP asks, and as slow for a name that nobody has.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html asks for 19 MiB and two
passes, or 46 MiB and one; these are 46 MiB and two.
"""

import unicodedata
from functools import cache
from secrets import token_urlsafe
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200

_HASHER = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
# However many people sign in at once, this many times 46 MiB is all they get.
_AT_ONCE = BoundedSemaphore(4)


def hashed(password: str) -> str:
    """What is stored of a password: argon2id in its usual text form, with a salt of its own."""
    with _AT_ONCE:
        return _HASHER.hash(_normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one of ``stored``; without one it takes as long, and never is."""
    with _AT_ONCE:
        try:
            _HASHER.verify(stored or _of_nobody(), _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def outdated(stored: str) -> bool:
    """Whether the hash was made when less was asked for."""
    return _HASHER.check_needs_rehash(stored)


@cache
def _of_nobody() -> str:
    return _HASHER.hash(token_urlsafe(32))


def _normal(password: str) -> str:
    """The same text, however a keyboard composed its letters."""
    return unicodedata.normalize("NFKC", password)
