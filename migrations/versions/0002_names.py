"""Files and images are found by their names."""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for table in ("sources", "images"):
        op.create_index(f"ix_{table}_project_id_name", table, ["project_id", "name"])


def downgrade() -> None:
    for table in ("images", "sources"):
        op.drop_index(f"ix_{table}_project_id_name", table)
