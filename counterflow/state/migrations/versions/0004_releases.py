"""What was released in Counterpoint."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of releases."""
    op.create_table(
        "release",
        sa.Column("doc_id", sa.Text(), primary_key=True),
        sa.Column("our_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("release_ours", "release", ["our_id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("release")
