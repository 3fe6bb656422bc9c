"""The tables: people, datasets, the work on them, and what came of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Each refers only to those before it.
TABLES = (
    "audit",
    "sign_in_failures",
    "users",
    "idempotency_keys",
    "leftovers",
    "projects",
    "exports",
    "invitations",
    "labels",
    "memberships",
    "sources",
    "tokens",
    "images",
    "annotations",
    "gold",
    "activity",
    "comments",
    "context_entries",
    "drafts",
    "interactions",
    "leases",
    "predictions",
    "submissions",
    "agreements",
    "reviews",
)

# The audit log is written and read. The database itself refuses anything else, whoever asks.
_SAID = "the audit log only grows"
ONLY_GROWS = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, '{_SAID}'); END"
        for verb in ("update", "delete")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_SAID}' USING ERRCODE = 'insufficient_privilege'; END $$",
        "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()",
    ],
}


def upgrade() -> None:
    for table in TABLES:
        globals()[f"_{table}"]()
    for statement in ONLY_GROWS[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_only_grows()")


def _create(name: str, *columns: sa.schema.SchemaItem) -> None:
    """A table whose ids are given once, by SQLite as well: browsers and workers remember what is deleted."""
    op.create_table(name, *columns, sqlite_autoincrement=True)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=16)


def _audit() -> None:
    _create(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Integer()),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("token_id", sa.Integer()),
        sa.Column("project_id", sa.Integer()),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_project_id_id", "audit", ["project_id", "id"])


def _sign_in_failures() -> None:
    _create(
        "sign_in_failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_failures"),
    )
    op.create_index("ix_sign_in_failures_address_at", "sign_in_failures", ["address", "at"])
    op.create_index("ix_sign_in_failures_at", "sign_in_failures", ["at"])
    op.create_index("ix_sign_in_failures_name_at", "sign_in_failures", ["name", "at"])


def _users() -> None:
    _create(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200)),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_idempotency_keys_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _leftovers() -> None:
    op.create_table(
        "leftovers",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("set_aside_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("digest", name="pk_leftovers"),
    )
    op.create_index("ix_leftovers_set_aside_at", "leftovers", ["set_aside_at"])


def _projects() -> None:
    _create(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("use_context", sa.Boolean(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("review_every", sa.Integer(), nullable=False),
        sa.Column("review_above", sa.Double()),
        sa.Column("review_own", sa.Boolean(), nullable=False),
        sa.Column("control_share", sa.Double(), nullable=False),
        sa.Column("idle_seconds", sa.Double(), nullable=False),
        sa.Column("skip_reasons", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_projects_created_by_users"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "ix_projects_name", "projects", ["name"], unique=True, sqlite_where=there, postgresql_where=there
    )


def _exports() -> None:
    _create(
        "exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", _one_of("progress", "waiting", "running", "done", "failed"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=32)),
        sa.Column("alive_at", sa.DateTime(timezone=True)),
        sa.Column("cursor", sa.JSON()),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("failure", sa.String(length=500)),
        sa.Column("digest", sa.String(length=64)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_exports_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_exports_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
    )
    op.create_index("ix_exports_project_id", "exports", ["project_id"])


def _invitations() -> None:
    _create(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer()),
        sa.Column("user_id", sa.Integer()),
        sa.Column(
            "role", _one_of("role", "viewer", "annotator", "reviewer", "manager", "owner"), nullable=False
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True)),
        sa.Column("accepted_by", sa.Integer()),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["accepted_by"], ["users.id"], name="fk_invitations_accepted_by_users"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_invitations_created_by_users"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_invitations_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_invitations_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("digest", name="uq_invitations_digest"),
    )
    op.create_index("ix_invitations_project_id", "invitations", ["project_id"])


def _labels() -> None:
    _create(
        "labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        sa.Column("left_version", sa.Integer(), nullable=False),
        sa.Column("context_limit", sa.Integer()),
        sa.Column(
            "strategy",
            _one_of("strategy", "in_order", "random", "most_uncertain", "most_certain"),
            nullable=False,
        ),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_labels_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.UniqueConstraint("project_id", "name", name="uq_labels_project_id_name"),
    )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column(
            "role", _one_of("role", "viewer", "annotator", "reviewer", "manager", "owner"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_memberships_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id_users"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_memberships"),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])


def _sources() -> None:
    _create(
        "sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("geometry", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_sources_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("project_id", "digest", name="uq_sources_project_id_digest"),
    )


def _tokens() -> None:
    _create(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", _one_of("kind", "login", "personal"), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", _one_of("role", "viewer", "annotator", "reviewer", "manager", "owner")),
        sa.Column("project_id", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tokens_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])


def _images() -> None:
    _create(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=False),
        sa.Column("offset", sa.Double(), nullable=False),
        sa.Column("window_low", sa.Double()),
        sa.Column("window_high", sa.Double()),
        sa.Column("spacing", sa.JSON()),
        sa.Column("series", sa.String(length=64)),
        sa.Column("place", sa.Double()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_images_project_id_projects"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_images_source_id_sources"),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.UniqueConstraint("source_id", "frame", name="uq_images_source_id_frame"),
    )
    op.create_index("ix_images_project_id_id", "images", ["project_id", "id"])
    op.create_index("ix_images_project_id_series_place", "images", ["project_id", "series", "place"])


def _annotations() -> None:
    _create(
        "annotations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("replica", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("draw", sa.Double(), nullable=False),
        sa.Column("lot", sa.Double(), nullable=False),
        sa.Column(
            "state", _one_of("state", "open", "submitted", "accepted", "returned", "skipped"), nullable=False
        ),
        sa.Column("assigned_to", sa.Integer()),
        sa.Column("author_id", sa.Integer()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("tip", sa.Integer(), nullable=True),
        sa.Column("control", sa.Boolean()),
        sa.Column("flag", sa.String(length=500)),
        sa.Column("mask_digest", sa.String(length=64)),
        sa.Column("accepted_prediction_id", sa.Integer()),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("submitted_at", sa.DateTime(timezone=True)),
        sa.Column("submitted_by", sa.Integer()),
        sa.Column("accepted_at", sa.DateTime(timezone=True)),
        sa.Column("accepted_by", sa.Integer()),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.Column("skip_reason", sa.String(length=500)),
        sa.Column("first_attempts", sa.Integer(), nullable=False),
        sa.Column("first_failure", sa.String(length=500)),
        sa.Column("first_uncertainty", sa.Double()),
        sa.ForeignKeyConstraint(["accepted_by"], ["users.id"], name="fk_annotations_accepted_by_users"),
        sa.ForeignKeyConstraint(["assigned_to"], ["users.id"], name="fk_annotations_assigned_to_users"),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name="fk_annotations_author_id_users"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_annotations_image_id_images"),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name="fk_annotations_label_id_labels"),
        sa.ForeignKeyConstraint(["submitted_by"], ["users.id"], name="fk_annotations_submitted_by_users"),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
        sa.UniqueConstraint(
            "label_id", "image_id", "replica", name="uq_annotations_label_id_image_id_replica"
        ),
    )
    op.create_index("ix_annotations_assigned_to", "annotations", ["assigned_to"])
    op.create_index(
        "ix_annotations_author_id_label_id_state_id", "annotations", ["author_id", "label_id", "state", "id"]
    )
    op.create_index(
        "ix_annotations_by_lot", "annotations", ["label_id", "state", "assigned_to", "rank", "draw", "id"]
    )
    op.create_index(
        "ix_annotations_by_uncertainty",
        "annotations",
        ["label_id", "state", "assigned_to", "rank", "first_uncertainty", "position", "id"],
    )
    op.create_index("ix_annotations_image_id", "annotations", ["image_id"])
    op.create_index(
        "ix_annotations_in_order",
        "annotations",
        ["label_id", "state", "assigned_to", "rank", "position", "id"],
    )
    op.create_index(
        "ix_annotations_in_order_of_acceptance",
        "annotations",
        ["label_id", "state", "accepted_at", "id", "imported", "control"],
    )
    op.create_index(
        "ix_annotations_label_id_first_uncertainty_id", "annotations", ["label_id", "first_uncertainty", "id"]
    )
    op.create_index("ix_annotations_submitted_at", "annotations", ["submitted_at"])


def _gold() -> None:
    op.create_table(
        "gold",
        sa.Column("label_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_gold_created_by_users"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_gold_image_id_images"),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name="fk_gold_label_id_labels"),
        sa.PrimaryKeyConstraint("label_id", "image_id", name="pk_gold"),
    )
    op.create_index("ix_gold_image_id", "gold", ["image_id"])


def _activity() -> None:
    _create(
        "activity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_activity_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_activity_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_activity"),
    )
    op.create_index(
        "ix_activity_annotation_id_began_at_ended_at", "activity", ["annotation_id", "began_at", "ended_at"]
    )
    op.create_index("ix_activity_user_id_ended_at", "activity", ["user_id", "ended_at"])


def _comments() -> None:
    _create(
        "comments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=5000), nullable=False),
        sa.Column("x", sa.Double()),
        sa.Column("y", sa.Double()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_comments_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_comments_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
    )
    op.create_index("ix_comments_annotation_id", "comments", ["annotation_id"])


def _context_entries() -> None:
    _create(
        "context_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label_id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(length=64), nullable=False),
        sa.Column("added_version", sa.Integer(), nullable=False),
        sa.Column("added_reason", sa.String(length=500)),
        sa.Column("removed_version", sa.Integer()),
        sa.Column("removed_reason", sa.String(length=500)),
        sa.Column("standby", sa.Boolean(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("pinned_by", sa.Integer()),
        sa.Column("checked", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.Double()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_context_entries_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_context_entries_image_id_images"),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name="fk_context_entries_label_id_labels"),
        sa.ForeignKeyConstraint(["pinned_by"], ["users.id"], name="fk_context_entries_pinned_by_users"),
        sa.PrimaryKeyConstraint("id", name="pk_context_entries"),
    )
    op.create_index("ix_context_entries_annotation_id", "context_entries", ["annotation_id"])
    op.create_index("ix_context_entries_image_id", "context_entries", ["image_id"])
    op.create_index(
        "ix_context_entries_label_id_added_version", "context_entries", ["label_id", "added_version"]
    )
    op.create_index(
        "ix_context_entries_label_id_removed_version", "context_entries", ["label_id", "removed_version"]
    )


def _drafts() -> None:
    op.create_table(
        "drafts",
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("mask_digest", sa.String(length=64)),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_drafts_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_drafts_user_id_users"),
        sa.PrimaryKeyConstraint("annotation_id", "user_id", name="pk_drafts"),
    )


def _interactions() -> None:
    _create(
        "interactions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("edit", sa.String(length=32)),
        sa.Column("mask_digest", sa.String(length=64)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("failure", sa.String(length=500)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_interactions_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_interactions_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_interactions"),
        sa.UniqueConstraint("annotation_id", "n", name="uq_interactions_annotation_id_n"),
    )
    op.create_index("ix_interactions_created_at", "interactions", ["created_at"])
    imports = sa.text("edit = 'import'")
    op.create_index(
        "ix_interactions_imports",
        "interactions",
        ["annotation_id"],
        sqlite_where=imports,
        postgresql_where=imports,
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("idle_seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_leases_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_leases_user_id_users"),
        sa.PrimaryKeyConstraint("annotation_id", name="pk_leases"),
    )
    op.create_index("ix_leases_expires_at", "leases", ["expires_at"])
    op.create_index("ix_leases_user_id", "leases", ["user_id"])


def _predictions() -> None:
    _create(
        "predictions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("context_version", sa.Integer(), nullable=False),
        sa.Column("context_size", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(length=64), nullable=False),
        sa.Column("state_digest", sa.String(length=64), nullable=False),
        sa.Column("network_ms", sa.Double(), nullable=False),
        sa.Column("uncertainty", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_predictions_annotation_id_annotations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
        sa.UniqueConstraint(
            "annotation_id", "n", "context_version", name="uq_predictions_annotation_id_n_context_version"
        ),
    )


def _submissions() -> None:
    _create(
        "submissions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("origin", _one_of("origin", "submitted", "reviewed", "imported"), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("mask_digest", sa.String(length=64), nullable=False),
        sa.Column("first_prediction_id", sa.Integer()),
        sa.Column("last_prediction_id", sa.Integer()),
        sa.Column("first_dice", sa.Double()),
        sa.Column("gold_dice", sa.Double()),
        sa.Column("measured_at", sa.DateTime(timezone=True)),
        sa.Column("measure_attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_submissions_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(
            ["first_prediction_id"], ["predictions.id"], name="fk_submissions_first_prediction_id_predictions"
        ),
        sa.ForeignKeyConstraint(
            ["last_prediction_id"], ["predictions.id"], name="fk_submissions_last_prediction_id_predictions"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_submissions_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_submissions"),
    )
    unmeasured = sa.text("measured_at IS NULL AND origin <> 'imported'")
    op.create_index(
        "ix_submissions_unmeasured",
        "submissions",
        ["created_at"],
        sqlite_where=unmeasured,
        postgresql_where=unmeasured,
    )
    op.create_index("ix_submissions_annotation_id", "submissions", ["annotation_id"])
    op.create_index("ix_submissions_created_at", "submissions", ["created_at"])
    op.create_index("ix_submissions_first_prediction_id", "submissions", ["first_prediction_id"])
    op.create_index("ix_submissions_last_prediction_id", "submissions", ["last_prediction_id"])


def _agreements() -> None:
    op.create_table(
        "agreements",
        sa.Column("earlier_id", sa.Integer(), nullable=False),
        sa.Column("later_id", sa.Integer(), nullable=False),
        sa.Column("dice", sa.Double(), nullable=False),
        sa.Column("hd95", sa.Double()),
        sa.ForeignKeyConstraint(
            ["earlier_id"], ["submissions.id"], name="fk_agreements_earlier_id_submissions"
        ),
        sa.ForeignKeyConstraint(["later_id"], ["submissions.id"], name="fk_agreements_later_id_submissions"),
        sa.PrimaryKeyConstraint("earlier_id", "later_id", name="pk_agreements"),
    )
    op.create_index("ix_agreements_later_id", "agreements", ["later_id"])


def _reviews() -> None:
    _create(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=500)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_reviews_annotation_id_annotations"
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_reviews_submission_id_submissions"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_reviews_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_annotation_id", "reviews", ["annotation_id"])
    op.create_index("ix_reviews_created_at", "reviews", ["created_at"])
    op.create_index("ix_reviews_submission_id", "reviews", ["submission_id"])
