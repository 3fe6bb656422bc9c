"""Files and images are found by their names, whose accents are written in one way."""

import unicodedata
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


LONGEST = 255


def shortened(name: str) -> str:
    """The end of a name, which a few signs grow longer by: as many of its last folders as fit, whole."""
    while len(name) > LONGEST and "/" in name:
        name = name.split("/", 1)[1]
    return name[-LONGEST:]


def upgrade() -> None:
    for name in ("sources", "images"):
        table = sa.table(name, sa.column("id"), sa.column("name"))
        for row in op.get_bind().execute(sa.select(table.c.id, table.c.name)).all():
            composed = shortened(unicodedata.normalize("NFC", row.name))
            if composed != row.name:
                op.execute(table.update().where(table.c.id == row.id).values(name=composed))
        op.create_index(f"ix_{name}_project_id_name", name, ["project_id", "name"])


def downgrade() -> None:
    for name in ("images", "sources"):
        op.drop_index(f"ix_{name}_project_id_name", name)
