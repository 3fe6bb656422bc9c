"""What is for browsers alone: their address, the cookie of a login, that a request is from our own page."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from service.errors import ForeignOrigin

COOKIE = "accrue"
# The browser forgets it then; the service ends a login that is not used much earlier.
COOKIE_SECONDS = 90 * 24 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def address_of(request: Request) -> str:
    """Where the request comes from, as far as we are told: a proxy counts where uvicorn trusts it."""
    return request.client.host[:64] if request.client else "(unknown)"


def login_of(request: Request, public_url: str | None) -> str | None:
    """The token in the request's cookie."""
    return request.cookies.get(_name(_encrypted(request, public_url)))


def keep_login(response: Response, request: Request, public_url: str | None, token: str) -> None:
    """Have the browser send the token with every request, and show it to no script."""
    encrypted = _encrypted(request, public_url)
    response.set_cookie(
        _name(encrypted), token, COOKIE_SECONDS, path="/", secure=encrypted, httponly=True, samesite="lax"
    )


def forget_login(response: Response, request: Request, public_url: str | None) -> None:
    encrypted = _encrypted(request, public_url)
    response.delete_cookie(_name(encrypted), path="/", secure=encrypted, httponly=True, samesite="lax")


def require_own_page(request: Request, public_url: str | None, *, signed_in: bool) -> None:
    """That a request which changes something was not sent by another site's page.

    A browser says where a request comes from, and pages cannot make it lie. A request that says nothing
    is not from a browser, so it may not be ``signed_in`` by a cookie either.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if request.method in SAFE_METHODS or site == "same-origin":
        return
    if origin is None and site is None and not signed_in:
        return
    host = request.headers.get("host", "")
    ours = {_place(f"{scheme}://{host}") for scheme in DEFAULT_PORTS} | {_place(public_url or "")}
    if origin is None or _place(origin) not in ours - {""}:
        raise ForeignOrigin(
            f"It was sent by {origin or 'a page that is not named'}, and this is {host}. If that is how "
            "people reach Accrue, through a proxy, set ACCRUE_PUBLIC_URL to the address that they open."
        )


def _encrypted(request: Request, public_url: str | None) -> bool:
    """Whether people reach us over https: as the setting says, else as the request came.

    A proxy's X-Forwarded-Proto counts where uvicorn trusts the proxy (its ``--forwarded-allow-ips``).
    """
    return (public_url or str(request.url)).startswith("https:")


def _name(encrypted: bool) -> str:
    """With the prefix no other host of the domain can set the cookie; browsers want https for it."""
    return f"__Host-{COOKIE}" if encrypted else COOKIE


def _place(url: str) -> str:
    """Host and port of an address, without the port that goes without saying."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, ":"))
