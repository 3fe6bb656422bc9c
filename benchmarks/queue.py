"""How long the queue takes over HTTP with a long history behind it: next, submit, upload, eight at once."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from benchmarks.apart import SIZE, picture
from benchmarks.history import KINDS, installation, write_history
from service.accounts.actions import create_token, create_user
from service.db import make_sessions, open_engine, unit_of_work
from service.dependencies import HouseRules
from service.events import LocalEvents
from service.jobs import RecordedJobs
from service.main import Ports, assemble
from service.masks import encode_change, to_png
from service.storage import LocalStorage

IMAGES, ROUNDS, WARM = 100_000, 200, 10
PEOPLE, TASKS, BATCH = 8, 40, 36
GATES_MS = {"next": (15.0, 30.0), "submit": (40.0, 80.0)}
RULES = HouseRules(
    model="memory-v1", weights_dir=None, lease_seconds=120, predict_ahead=2, max_image_pixels=64_000_000
)

OF_DONE = (
    "author_id", "control", "opened_at", "submitted_at", "submitted_by", "accepted_at", "accepted_by",
)  # fmt: skip

T = TypeVar("T")
PAINTED = encode_change(None, np.eye(SIZE) > 0)


def main() -> int:
    """Measure both databases; 1 when ``next`` or ``submit`` is slower than it may be."""
    table = Table(title=f"a label of {IMAGES:,} images, half of them open; milliseconds, p50 / p95")
    for column in ("", *KINDS):
        table.add_column(column, justify="right" if column else "left")
    measured = {}
    for kind in KINDS:
        with installation(kind) as engine, tempfile.TemporaryDirectory() as folder:
            label_id = half_open(engine, Path(folder))
            tokens = people(engine)
            url = engine.url.render_as_string(hide_password=False)
            with api_apart(url, folder) as address:
                measured[kind] = measure(address, tokens, label_id)
    for name in measured[KINDS[0]]:
        table.add_row(name, *(_spans(measured[kind][name]) for kind in KINDS))
    Console().print(table)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    late = [name for name, gate in GATES_MS.items() for of in measured.values() if _misses(of[name], gate)]
    return 1 if late else 0


def half_open(engine: Engine, folder: Path) -> int:
    """A label with ``IMAGES`` images, of which every second one is open and predicted; its id."""
    label_id = write_history(engine, IMAGES)
    mask = LocalStorage(folder).put(to_png(np.eye(48, 64) > 0))
    with unit_of_work(make_sessions(engine)) as session:
        for table in ("submissions", "interactions", "activity"):
            session.execute(text(f"DELETE FROM {table} WHERE annotation_id % 2 = 0"))
        undone = ", ".join(f"{column} = NULL" for column in OF_DONE)
        session.execute(text(f"UPDATE annotations SET state = 'open', step = 0, {undone} WHERE id % 2 = 0"))
        session.execute(text("UPDATE predictions SET mask_digest = :mask"), {"mask": mask})
        if engine.dialect.name == "postgresql":  # whose numbers begin at 1, whatever is there
            for table in ("images", "annotations", "predictions", "sources"):
                number = f"pg_get_serial_sequence('{table}', 'id')"
                session.execute(text(f"SELECT setval({number}, (SELECT max(id) FROM {table}))"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return label_id


def people(engine: Engine) -> list[str]:
    """The tokens of as many users as annotate at once, who may do everything."""
    with unit_of_work(make_sessions(engine)) as session:
        users = [create_user(session, f"bench {n}", admin=True) for n in range(PEOPLE)]
        return [create_token(session, user, "bench") for user in users]


@contextmanager
def api_apart(database_url: str, folder: str) -> Iterator[str]:
    """The address of an API in a process of its own, whose jobs nobody does."""
    command = [sys.executable, "-m", "benchmarks.queue", database_url, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()


def serve(database_url: str, folder: str) -> None:
    """What runs in that process."""
    ports = Ports(
        open_engine(database_url), LocalStorage(Path(folder)), RecordedJobs(), LocalEvents(), lambda: True
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps(f"http://127.0.0.1:{listener.getsockname()[1]}/api"), flush=True)
        app = assemble(ports, RULES, largest_upload=64 * 1024 * 1024)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])


def measure(address: str, tokens: list[str], label_id: int) -> dict[str, list[float]]:
    """Milliseconds by what was asked for."""
    clients = [
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=120)
        for token in tokens
    ]
    asked, submitted = [], []
    for _ in range(WARM + ROUNDS):
        given, took = _timed(lambda: _told(clients[0].post(f"/labels/{label_id}/next")))
        asked.append(took)
        _, took = _timed(partial(_submit, clients[0], given))
        submitted.append(took)
    project_id = _told(clients[0].post("/projects", json={"name": "a small one"}))["id"]
    small = _told(clients[0].post(f"/projects/{project_id}/labels", json={"name": "disc"}))["id"]
    singly = [_upload(clients[0], project_id, [n]) for n in range(TASKS)]
    shared = _share(clients, small)
    together = [_upload(clients[0], project_id, range(n, n + BATCH)) for n in range(TASKS, 10 * TASKS, BATCH)]
    return {
        "next": asked[WARM:],
        "submit": submitted[WARM:],
        f"an image of {SIZE} x {SIZE} uploaded": singly,
        f"  one of {BATCH} in a request": together,
        f"{PEOPLE} annotators on {TASKS} images, from the first to the last": [shared],
    }


def _submit(client: httpx.Client, given: Any, version: int | None = None) -> None:
    annotation = given["annotation"]
    headers = {
        "Lease-Token": given["lease"]["token"],
        "If-Match": f'"{version or annotation["version"]}"',
    }
    _told(client.post(f"/annotations/{annotation['id']}/submit", headers=headers))


def _upload(client: httpx.Client, project_id: int, seeds: Collection[int]) -> float:
    """Milliseconds per image of one request."""
    files = [("files", (f"{n}.png", picture(n), "image/png")) for n in seeds]
    _, took = _timed(lambda: _told(client.post(f"/projects/{project_id}/images", files=files)))
    return took / len(seeds)


def _share(clients: list[httpx.Client], label_id: int) -> float:
    """Milliseconds until all have annotated ``TASKS`` images by hand; each image came once."""

    def annotate(client: httpx.Client) -> list[int]:
        came: list[int] = []
        while (answer := client.post(f"/labels/{label_id}/next")).status_code != 204:
            given = _told(answer)
            annotation = given["annotation"]
            came.append(annotation["id"])
            edit = {"kind": "paint", "step": 0, "change": PAINTED}
            path, lease = f"/annotations/{annotation['id']}/edits", {"Lease-Token": given["lease"]["token"]}
            _submit(client, given, _told(client.post(path, json=edit, headers=lease))["version"])
        return came

    with ThreadPoolExecutor(len(clients)) as pool:
        came, took = _timed(lambda: list(pool.map(annotate, clients)))
    served = [each for mine in came for each in mine]
    assert len(served) == len(set(served)) == TASKS, "an image came twice, or to nobody"
    return took


def _told(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    value = call()
    return value, (time.perf_counter() - began) * 1000


def _spans(values: list[float]) -> str:
    p50, p95 = np.percentile(values, [50, 95])
    return f"{p50:.1f} / {p95:.1f}" if len(values) > 1 else f"{p50:.0f}"


def _misses(values: list[float], gate: tuple[float, float]) -> bool:
    return bool((np.percentile(values, [50, 95]) > gate).any())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(*sys.argv[1:])
    else:
        sys.exit(main())
