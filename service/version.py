"""Which version this is, and which others it can talk to: those whose first two numbers are the same."""

from importlib.metadata import version

VERSION = version("accrue")
HEADER = "Accrue-Version"


def fits(other: str) -> bool:
    """Whether a client of that version and a service of this one mean the same."""
    return other.split(".")[:2] == VERSION.split(".")[:2]
