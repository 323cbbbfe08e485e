"""What was released of web orders, as last looked up in Counterpoint."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from counterflow.state.tables import release
from schemas.names import OurId
from schemas.records import Release

OPEN, POSTED, GONE = "open", "posted", "gone"
UNREAD = "unread"  # It was posted before its lines were read, and this Counterpoint's posted lines are not known.


def keep(connection: Connection, our_id: OurId, found: Release, *, fate: str, at: datetime) -> datetime:
    """Keep what a release let out, or bring it up to date; gives when it was first seen."""
    values = {"our_id": our_id, "body": msgspec.json.encode(found).decode(), "fate": fate}
    statement = insert(release).values(values | {"doc_id": found.doc_id, "first_at": at})
    statement = statement.on_conflict_do_update(index_elements=[release.c.doc_id], set_=values)
    first: datetime = connection.execute(statement.returning(release.c.first_at)).scalar_one()
    return first


def set_fate(connection: Connection, doc_id: str, fate: str) -> bool:
    """Note where a release stands: open, posted, or gone; says whether it is known at all."""
    mine = update(release).where(release.c.doc_id == doc_id).values(fate=fate).returning(release.c.doc_id)
    return connection.execute(mine).first() is not None


def of_order(connection: Connection, our_id: OurId) -> list[tuple[Release, str]]:
    """Give an order's releases with their fates, in the order in which they were made: their ids rise."""
    query = select(release.c.body, release.c.fate).where(release.c.our_id == our_id)
    found = [(msgspec.json.decode(row.body, type=Release), str(row.fate)) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (len(one[0].doc_id), one[0].doc_id))
