"""Books of points and of gift cards."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of books."""
    op.create_table(
        "ledger_account",
        sa.Column("book", sa.Text(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ledger_entry_book", "ledger_entry", ["book"])
    op.create_index("ledger_entry_open", "ledger_entry", ["kind"], postgresql_where=sa.text("is_open"))


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("ledger_entry")
    op.drop_table("ledger_account")
