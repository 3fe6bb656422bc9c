"""How long an export takes, and how much memory a large one."""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, select

from benchmarks.apart import Apart, new_label, service_apart
from service.client import Accrue
from service.clock import now
from service.db import make_sessions, open_engine, unit_of_work
from service.masks import to_png
from service.settings import Settings
from service.storage import open_storage
from service.tables import Annotation, Image, Label, Source, State

FEW, SIDE, SECONDS = 100, 512, 1.0
MANY, SMALL_SIDE, GROWTH_MB = 10_000, 64, 300.0
FORMATS = ("png", "labelmap", "coco", "numpy", "csv", "json")
# These must be quick, the others only small.
QUICK = ("png", "coco")
LOOK_SECONDS = 0.02


def main() -> int:
    table = Table(
        title=f"Exports over HTTP: {FEW} masks of {SIDE} x {SIDE}, {MANY:,} of {SMALL_SIDE} x {SMALL_SIDE}"
    )
    for column in (
        "format",
        f"seconds, {FEW} masks",
        f"seconds, {MANY:,} masks",
        "megabytes more, API",
        "worker",
    ):
        table.add_column(column, justify="left" if column == "format" else "right")
    within = True
    with service_apart() as service, tempfile.TemporaryDirectory() as folder:
        few, many = accepted(service, FEW, SIDE), accepted(service, MANY, SMALL_SIDE)
        with Accrue(service.url, service.token) as client:
            client.export(few, "png", Path(folder) / "warm")
            for form in FORMATS:
                quick, _ = measured(service, client, few, form, Path(folder))
                slow, more = measured(service, client, many, form, Path(folder))
                table.add_row(form, f"{quick:.2f}", f"{slow:.1f}", *(f"{each:.0f}" for each in more.values()))
                within &= max(more.values()) <= GROWTH_MB and (quick <= SECONDS or form not in QUICK)
    Console().print(table)
    wanted = f"at most {SECONDS:.0f} s for {FEW} as PNG or COCO, and {GROWTH_MB:.0f} MB"
    print(f"{wanted} wanted: {'ok' if within else 'NOT MET'}")
    return 0 if within else 1


def accepted(service: Apart, count: int, side: int) -> int:
    """A project with that many accepted masks, each its own; its images share the bytes of one."""
    settings = Settings(data_dir=service.folder)
    storage = open_storage(settings.resolved_storage_url)
    with service.client() as client:
        label_id = new_label(client, side // 32)
    y, x = np.mgrid[:side, :side]
    rng = np.random.default_rng(0)
    rough = np.hypot(y - side / 2, x - side / 2) + rng.normal(0, side / 100, (side, side))
    radii = rng.uniform(side / 8, side / 2.5, count)
    digests = [storage.put(to_png(rough < radius), durable=False) for radius in radii]
    engine = open_engine(settings.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        project_id = session.get_one(Label, label_id).project_id
        source = session.scalars(select(Source).where(Source.project_id == project_id)).first()
        assert source is not None
        kept = {"project_id": project_id, "source_id": source.id, "digest": source.digest}
        kept |= {"media_type": source.media_type, "width": side, "height": side}
        session.execute(insert(Image), [kept | {"frame": n, "name": f"{n}.png"} for n in range(1, count + 1)])
        ids = session.scalars(select(Image.id).where(Image.source_id == source.id, Image.frame > 0)).all()
        done = {"label_id": label_id, "state": State.ACCEPTED, "accepted_at": now(), "submitted_at": now()}
        rows = [
            done | {"image_id": image, "position": image, "mask_digest": digest}
            for image, digest in zip(ids, digests, strict=True)
        ]
        session.execute(insert(Annotation), rows)
    engine.dispose()
    return project_id


def measured(
    service: Apart, client: Accrue, project_id: int, form: str, folder: Path
) -> tuple[float, dict[str, float]]:
    """Seconds from the request to the last byte, and by how many megabytes each process grew meanwhile."""
    with Growth(service) as growth:
        began = time.perf_counter()
        client.export(project_id, form, folder / f"{project_id}.{form}")
        seconds = time.perf_counter() - began
    return seconds, growth.most


class Growth:
    """The most resident memory of the two processes above what they had at first, in megabytes."""

    def __init__(self, service: Apart) -> None:
        self._processes = {
            "API": psutil.Process(service.api_pid),
            "worker": psutil.Process(service.worker_pid),
        }
        self._first = self._now()
        self.most = dict.fromkeys(self._processes, 0.0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Growth":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for name, megabytes in self._now().items():
                self.most[name] = max(self.most[name], megabytes - self._first[name])

    def _now(self) -> dict[str, float]:
        return {name: process.memory_info().rss / 1e6 for name, process in self._processes.items()}


if __name__ == "__main__":
    sys.exit(main())
