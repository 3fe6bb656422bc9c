"""The default installation in a process of its own, as `accrue serve` runs it, and someone who annotates."""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

from commands.serve import Running, serve
from service.settings import Settings

SIZE = 256


@dataclass(frozen=True)
class Apart:
    """Where the service is, the folder it keeps everything in, and its two Python processes."""

    url: str
    token: str
    folder: Path
    api_pid: int
    worker_pid: int

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=f"{self.url}/api", headers=headers, timeout=120) as client:
            yield client

    def rest(self) -> None:
        """Wait until the worker has nothing left to do, such as checks of what was accepted."""
        worker = psutil.Process(self.worker_pid)
        while worker.cpu_percent(interval=6) > 12:  # longer than from one sweep to the next
            pass

    @contextmanager
    def wire(self) -> Iterator["Wire"]:
        """A connection with as little of a client around it as there can be."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=120)
        with closing(connection):
            yield Wire(connection, {"Authorization": f"Bearer {self.token}"})


@dataclass(frozen=True)
class Wire:
    """Posts JSON over one connection: a general client's own milliseconds are not the service's."""

    connection: HTTPConnection
    headers: dict[str, str]

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        kind = {"Content-Type": "application/json"}
        self.connection.request("POST", path, json.dumps(body), self.headers | headers | kind)
        answer = self.connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status < 300, told
        return told


@contextmanager
def service_apart() -> Iterator[Apart]:
    """An installation in a new folder; nothing is left of it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.apart", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                told = json.loads(process.stdout.readline())
                yield Apart(folder=Path(folder), api_pid=process.pid, **told)
            finally:
                process.terminate()
                process.wait()


def new_label(client: httpx.Client, images: int, *, size: int = SIZE) -> int:
    """A project with that many images, each a disc somewhere in noise, and the id of its label."""
    project = _json(client.post("/projects", json={"name": f"{images} images of {size}"}))["id"]
    label = _json(client.post(f"/projects/{project}/labels", json={"name": "disc"}))["id"]
    for first in range(0, images, 32):
        batch = range(first, min(first + 32, images))
        files = [("files", (f"{n}.png", picture(n, size), "image/png")) for n in batch]
        _json(client.post(f"/projects/{project}/images", files=files))
    return int(label)


@dataclass(frozen=True)
class Opened:
    """An annotation in hand."""

    id: int
    version: int
    lease: dict[str, str]


def open_next(client: httpx.Client, label: int) -> Opened:
    """The next annotation, with its first prediction."""
    told = _json(client.post(f"/labels/{label}/next", headers={"Prefer": "wait=30"}))
    annotation = told["annotation"]
    return Opened(annotation["id"], annotation["version"], {"Lease-Token": told["lease"]["token"]})


def click(wire: Wire, opened: Opened, x: float, y: float) -> dict[str, Any]:
    """The prediction after one more click."""
    prompt = {"kind": "click", "x": x, "y": y, "positive": True}
    path = f"/api/annotations/{opened.id}/interactions"
    answer = wire.post(path, {"prompts": [prompt]}, opened.lease | {"Prefer": "wait=30"})
    prediction: dict[str, Any] = answer["prediction"]
    return prediction


def submit(client: httpx.Client, opened: Opened) -> None:
    """Accept the mask as it is now."""
    _close(client, opened, "submit", {})


def skip(client: httpx.Client, opened: Opened) -> None:
    """Set the annotation aside; the context stays as it is."""
    _close(client, opened, "skip", {"reason": "benchmark"})


def _close(client: httpx.Client, opened: Opened, how: str, body: dict[str, str]) -> None:
    version = _json(client.get(f"/annotations/{opened.id}"))["version"]
    headers = opened.lease | {"If-Match": f'"{version}"'}
    _json(client.post(f"/annotations/{opened.id}/{how}", json=body, headers=headers))


def picture(seed: int, size: int = SIZE) -> bytes:
    """A PNG of a disc somewhere in noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    cy, cx = rng.uniform(size * 0.3, size * 0.7, size=2)
    values = 90 + 100 * (np.hypot(y - cy, x - cx) < size / 5) + rng.normal(0, 10, (size, size))
    stream = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _json(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()


def _announce(service: Running) -> None:
    told = {"url": service.url, "token": service.token, "worker_pid": service.worker.pid}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    serve(Settings(data_dir=Path(sys.argv[1]), port=0), _announce)
