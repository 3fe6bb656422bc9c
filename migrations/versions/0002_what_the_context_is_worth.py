"""What the context is worth: pins, quality and reasons of its entries; uncertainty orders the queue.

Columns are added and dropped as they are, on SQLite, too: a table that others refer to cannot be copied
there while foreign keys are enforced.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STRATEGIES = "'in_order', 'most_uncertain', 'most_certain'"
BY_UNCERTAINTY = ("label_id", "state", "first_uncertainty", "position", "id")
INDEX = f"ix_annotations_{'_'.join(BY_UNCERTAINTY)}"


def upgrade() -> None:
    for column in (
        sa.Column("removed_reason", sa.String(500)),
        sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("checked", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("quality", sa.Double()),
    ):
        op.add_column("context_entries", column)
    # What was accepted before there was a check stays as it is.
    op.execute(sa.text("UPDATE context_entries SET checked = true"))
    # As a statement, because Alembic adds no column with a check constraint on SQLite.
    op.execute(
        "ALTER TABLE labels ADD COLUMN strategy VARCHAR(16) DEFAULT 'in_order' NOT NULL "
        f"CONSTRAINT ck_labels_strategy CHECK (strategy IN ({STRATEGIES}))"
    )
    op.add_column("annotations", sa.Column("first_uncertainty", sa.Double()))
    op.execute(
        "UPDATE annotations SET first_uncertainty = (SELECT uncertainty FROM predictions "
        "WHERE predictions.annotation_id = annotations.id AND n = 0 ORDER BY context_version DESC LIMIT 1)"
    )
    op.create_index(INDEX, "annotations", BY_UNCERTAINTY)


def downgrade() -> None:
    op.drop_index(INDEX, "annotations")
    op.drop_column("annotations", "first_uncertainty")
    op.drop_column("labels", "strategy")
    for column in ("quality", "checked", "pinned", "removed_reason"):
        op.drop_column("context_entries", column)
