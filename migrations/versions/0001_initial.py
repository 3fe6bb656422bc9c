"""The first tables: people, projects, annotations, what the network returned, the context."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATES = ("open", "submitted", "accepted", "returned", "skipped")
# In the order in which they can be dropped.
TABLES = (
    "context_entries",
    "predictions",
    "interactions",
    "leases",
    "annotations",
    "images",
    "labels",
    "projects",
    "idempotency_keys",
    "tokens",
    "users",
)


def upgrade() -> None:
    _people()
    _projects()
    _annotations()
    _steps()
    _context()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "users",
        *_id("users"),
        sa.Column("name", sa.String(200), nullable=False),
        _time("created_at"),
        _unique("users", "name"),
    )
    op.create_table(
        "tokens",
        *_id("tokens"),
        *_refer("tokens", "user_id", "users"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
        _unique("tokens", "digest"),
    )
    _index("tokens", "user_id")
    op.create_table(
        "idempotency_keys",
        *_refer("idempotency_keys", "user_id", "users"),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_keys"),
    )
    _index("idempotency_keys", "created_at")


def _projects() -> None:
    op.create_table(
        "projects",
        *_id("projects"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("use_context", sa.Boolean(), nullable=False),
        _time("created_at"),
        *_refer("projects", "created_by", "users"),
        _unique("projects", "name"),
    )
    op.create_table(
        "labels",
        *_id("labels"),
        *_refer("labels", "project_id", "projects"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        _unique("labels", "project_id", "name"),
    )
    op.create_table(
        "images",
        *_id("images"),
        *_refer("images", "project_id", "projects"),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        _time("created_at"),
        _unique("images", "project_id", "digest"),
    )


def _annotations() -> None:
    state = sa.Enum(*STATES, name="state", native_enum=False, length=16)
    op.create_table(
        "annotations",
        *_id("annotations"),
        *_refer("annotations", "label_id", "labels"),
        *_refer("annotations", "image_id", "images"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", state, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(64), nullable=True),
        sa.Column("accepted_prediction_id", sa.Integer(), nullable=True),
        _time("accepted_at", nullable=True),
        *_refer("annotations", "accepted_by", "users", nullable=True),
        _time("opened_at", nullable=True),
        sa.Column("skip_reason", sa.String(500), nullable=True),
        sa.Column("first_attempts", sa.Integer(), nullable=False),
        sa.Column("first_failure", sa.String(500), nullable=True),
        _unique("annotations", "label_id", "image_id"),
        sa.CheckConstraint(sa.column("state").in_(STATES), name=op.f("ck_annotations_state")),
    )
    _index("annotations", "image_id")
    _index("annotations", "label_id", "state", "position", "id")
    _index("annotations", "label_id", "accepted_at", "id")
    op.create_table(
        "leases",
        *_refer("leases", "annotation_id", "annotations"),
        *_refer("leases", "user_id", "users"),
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("annotation_id", name="pk_leases"),
    )
    _index("leases", "user_id")
    _index("leases", "expires_at")


def _steps() -> None:
    op.create_table(
        "interactions",
        *_id("interactions"),
        *_refer("interactions", "annotation_id", "annotations"),
        sa.Column("n", sa.Integer(), nullable=False),
        *_refer("interactions", "user_id", "users"),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _time("failed_at", nullable=True),
        sa.Column("failure", sa.String(500), nullable=True),
        _time("created_at"),
        _unique("interactions", "annotation_id", "n"),
    )
    _index("interactions", "created_at")
    op.create_table(
        "predictions",
        *_id("predictions"),
        *_refer("predictions", "annotation_id", "annotations"),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("weights_sha256", sa.String(64), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        sa.Column("context_size", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(64), nullable=False),
        sa.Column("state_digest", sa.String(64), nullable=False),
        sa.Column("network_ms", sa.Double(), nullable=False),
        sa.Column("uncertainty", sa.Double(), nullable=False),
        _time("created_at"),
        _unique("predictions", "annotation_id", "n", "context_version"),
    )


def _context() -> None:
    op.create_table(
        "context_entries",
        *_id("context_entries"),
        *_refer("context_entries", "label_id", "labels"),
        *_refer("context_entries", "annotation_id", "annotations"),
        *_refer("context_entries", "image_id", "images"),
        sa.Column("mask_digest", sa.String(64), nullable=False),
        sa.Column("added_version", sa.Integer(), nullable=False),
        sa.Column("removed_version", sa.Integer(), nullable=True),
        _time("created_at"),
        _unique("context_entries", "annotation_id"),
    )
    _index("context_entries", "image_id")
    _index("context_entries", "label_id", "added_version")


def _id(table: str) -> tuple[sa.Column[int], sa.PrimaryKeyConstraint]:
    return sa.Column("id", sa.Integer()), sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _refer(
    table: str, column: str, target: str, *, nullable: bool = False
) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}_{target}")
    return sa.Column(column, sa.Integer(), nullable=nullable), key


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
