"""The client's side of HTTP: who is calling, what is sent again, and refusals as an error."""

import time
import uuid
from typing import Any, Self

import httpx

from service.version import HEADER, VERSION

AWAY = {502, 503, 504}  # a proxy without its service, a service without its database
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class RefusedError(Exception):
    """The service refused: ``status``, the machine-readable ``code`` and a ``detail`` for people.

    ``problem`` is the whole answer.
    """

    def __init__(self, status: int, code: str, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status, self.code, self.detail, self.problem = status, code, detail, problem or {}


class Connection:
    """A connection to a service in the name of one person; sends again what got no answer."""

    def __init__(self, url: str, token: str, *, patience: float = 60.0) -> None:
        """``patience``: for how many seconds a service that is away is asked again."""
        self.patience = patience
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api",
            headers={"Authorization": f"Bearer {token}", HEADER: VERSION},
            timeout=httpx.Timeout(10.0, read=60.0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._request(method, path, **options).json()
        return found

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer; sent again, with the same key, while the service is away.

        What a DELETE that is sent again does not find has been deleted.
        """
        headers = dict(options.pop("headers", {}))
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        deadline, pause, again = time.monotonic() + self.patience, FIRST_PAUSE, False
        while True:
            try:
                answer = self._http.request(method, path, headers=headers, **options)
                if again and method == "DELETE" and answer.status_code == 404:
                    return answer
                if answer.status_code not in AWAY or time.monotonic() > deadline:
                    return checked(answer)
            except httpx.UnsupportedProtocol:  # no address, and none later
                raise
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause, again = min(2 * pause, LONGEST_PAUSE), True


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it is a refusal: RefusedError."""
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    code = str(problem.get("code", "unknown"))
    raise RefusedError(answer.status_code, code, str(problem.get("detail", answer.text[:200])), problem)
