"""Whether a customer is there already who shall be created: by their e-mail, or by the order they are created for.

Whoever has no e-mail of their own carries the order in AR_CUST.COMMNT, which some installations may lack: it is looked
for before it is read (docs/facts/counterpoint.md 2).
"""

from collections.abc import Collection

from sqlalchemy import Column, Connection, MetaData, String, Table, select

from counterflow.errors import Held, Rejected
from counterflow.systems.counterpoint import sql, write
from schemas.commands import CreateCustomer

COMMENTS = Table("AR_CUST", MetaData(), Column("CUST_NO", String()), Column("COMMNT", String()))


def name_of(wanted: CreateCustomer) -> str:
    """Return the name that is locked and claimed while a customer is created."""
    return f"customer:{wanted.email.lower() or wanted.reference}"


def check(connection: Connection, wanted: CreateCustomer) -> None:
    """Check that a customer could be found again once they are created.

    Raises:
        Rejected: There is nothing to find them by.
        Held: What they are found by would be cut, or the installation has no place for it.
    """
    if len(wanted.email) > write.EMAIL_LENGTH:
        raise Held(f"the e-mail address has more than the {write.EMAIL_LENGTH} characters that Counterpoint keeps")
    if wanted.email:
        return
    if not wanted.reference:
        raise Rejected("a customer with neither an e-mail nor an order cannot be found again: nobody is created")
    if len(write.comment(wanted.reference)) > write.COMMENT_LENGTH:
        raise Held(f"the order's name has more than the {write.COMMENT_LENGTH} characters that a comment keeps")
    if not has_comments(connection):
        raise Held(
            "AR_CUST has no column COMMNT, or we have no right to read it: a customer without an e-mail could not be "
            "found again; create them by hand and say whose the order is"
        )


def known(connection: Connection, wanted: CreateCustomer, nobody: Collection[str] = ()) -> str | None:
    """Return the one customer who is meant; None where there is none.

    Args:
        connection: To the database, with the lock on the name held.
        wanted: Whom to have.
        nobody: Numbers of nobody in particular: a walk-in's e-mail is not somebody's (req-C5).

    Raises:
        Held: There are several, or whoever was created for the order is gone.
    """
    found = [number for number in find(connection, wanted) if number not in nobody]
    if len(found) > 1:
        what = "this e-mail address" if wanted.email else f"the comment {write.comment(wanted.reference)!r}"
        raise Held(f"{len(found)} customers have {what} by now: {', '.join(found)}")
    if found or wanted.email:
        return found[0] if found else None
    return _answered(connection, wanted)


def find(connection: Connection, wanted: CreateCustomer) -> list[str]:
    """Return the customers who may be meant, by number."""
    if wanted.email:
        return [number for number, _ in sql.customers_with_email(connection, wanted.email)]
    return with_comment(connection, write.comment(wanted.reference))


def _answered(connection: Connection, wanted: CreateCustomer) -> str | None:
    """Return whom an earlier answer named for the order: staff may have written over the comment since."""
    number = sql.done_claim(connection, name_of(wanted))
    if number is not None and sql.customer(connection, number) is None:
        raise Held(
            f"customer {number} was created for web order {wanted.reference} and is gone: deleted, or merged into "
            "another? Say whose the order is"
        )
    return number


def with_comment(connection: Connection, comment: str) -> list[str]:
    """Return the customers with a comment, low numbers first."""
    query = select(COMMENTS.c.CUST_NO).where(COMMENTS.c.COMMNT == comment)
    return sorted(str(number).rstrip() for number in connection.execute(query).scalars())


def has_comments(connection: Connection) -> bool:
    """Return whether customers have a comment on this installation, and we may read it."""
    there = {row.col for row in connection.execute(sql.COLUMNS, {"tables": [COMMENTS.name]})}
    return COMMENTS.c.COMMNT.name in there
