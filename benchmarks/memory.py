"""How much memory the API and the worker take with a full context, and whether it stays at that."""

import sys

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from benchmarks.apart import SIZE, Apart, Wire, click, new_label, open_next, service_apart, skip
from service.context.actions import add_entry
from service.db import make_sessions, open_engine, unit_of_work
from service.masks import to_png
from service.settings import Settings
from service.storage import open_storage
from service.tables import Annotation, State

CONTEXT = 256
# As many as the worker keeps encoded and more, so that its caches are full before we look.
WARM_UP_IMAGES = 40
IMAGES, CLICKS = 20, 25
API_MB, WORKER_MB, GROWTH_MB = 250.0, 1500.0, 50.0


def main() -> int:
    with service_apart() as service, service.client() as client, service.wire() as wire:
        label = new_label(client, CONTEXT + WARM_UP_IMAGES + IMAGES)
        fill_context(service, label)
        annotate(client, wire, label, WARM_UP_IMAGES, 1)
        before = resident(service)
        annotate(client, wire, label, IMAGES, CLICKS)
        after = resident(service)
    table = Table(title=f"Resident memory with {CONTEXT} pairs in the context; megabytes")
    for column in ("process", "at first", f"{IMAGES * CLICKS} predictions later", "at most"):
        table.add_column(column, justify="left" if column == "process" else "right")
    within = True
    for name, limit in (("API", API_MB), ("worker", WORKER_MB)):
        table.add_row(name, f"{before[name]:.0f}", f"{after[name]:.0f}", f"{limit:.0f}")
        within &= after[name] <= limit and after[name] - before[name] <= GROWTH_MB
    Console().print(table)
    print(f"growth of at most {GROWTH_MB:.0f} MB wanted: {'ok' if within else 'NOT MET'}")
    return 0 if within else 1


def fill_context(service: Apart, label: int) -> None:
    """Accept the first images of the label without anybody annotating them, which takes seconds."""
    settings = Settings(data_dir=service.folder)
    storage = open_storage(settings.resolved_storage_url)
    engine = open_engine(settings.resolved_database_url)
    y, x = np.mgrid[:SIZE, :SIZE]
    mask = storage.put(to_png(np.hypot(y - SIZE / 2, x - SIZE / 2) < SIZE / 5))
    first = select(Annotation).where(Annotation.label_id == label).order_by(Annotation.position)
    with unit_of_work(make_sessions(engine)) as session:
        for annotation in session.scalars(first.limit(CONTEXT)):
            annotation.state = State.ACCEPTED
            add_entry(session, annotation, mask)
    engine.dispose()


def annotate(client: httpx.Client, wire: Wire, label: int, images: int, clicks: int) -> None:
    """Click on each of the next images and set it aside, so that the context stays as it is."""
    rng = np.random.default_rng(0)
    for _ in range(images):
        opened = open_next(client, label)
        for x, y in rng.uniform(0.3 * SIZE, 0.7 * SIZE, size=(clicks, 2)):
            click(wire, opened, x, y)
        skip(client, opened)


def resident(service: Apart) -> dict[str, float]:
    """Megabytes by process."""
    pids = {"API": service.api_pid, "worker": service.worker_pid}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in pids.items()}


if __name__ == "__main__":
    sys.exit(main())
