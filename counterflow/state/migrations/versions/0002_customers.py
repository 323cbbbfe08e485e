"""Customers kept the same on both sides: profiles, persons, welcomes, and a priority in the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of profiles, persons and welcomes."""
    op.add_column("wanted", sa.Column("priority", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("cursor", sa.Column("rows", sa.BigInteger(), nullable=True))
    op.create_table(
        "profile",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("pending", sa.Text(), server_default="{}", nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("reading", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("unflagged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("points_before", sa.Integer(), nullable=True),
        sa.Column("points_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("system", "key"),
    )
    op.create_table(
        "person",
        sa.Column("our_id", sa.Text(), nullable=False),
        sa.Column("agreed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("our_id"),
    )
    op.create_table(
        "welcome",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("our_id", sa.Text(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "email"),
    )
    op.create_index("welcome_at", "welcome", ["store", "at"])
    op.create_index("welcome_ours", "welcome", ["our_id"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("welcome")
    op.drop_table("person")
    op.drop_table("profile")
    op.drop_column("cursor", "rows")
    op.drop_column("wanted", "priority")
