"""Opening the state database, bringing its tables up to date, and telling its troubles apart."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import ARRAY, ColumnElement, Connection, Engine, Text, any_, create_engine, literal
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from counterflow.errors import Broken, Rejected, Transient
from counterflow.sqlstates import refusal

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> Engine:
    """Open the state database's pool. Connects at the first use."""
    return create_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "options": "-c statement_timeout=60000 -c lock_timeout=30000"},
    )


def migrate(engine: Engine) -> None:
    """Bring the tables up to date; two processes at once wait for each other."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with begin(engine) as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('counterflow.migrate', 0))")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def begin(engine: Engine) -> Iterator[Connection]:
    """Open one transaction: all of it is kept, or nothing.

    Raises:
        Transient: The database went away, or two transactions met; the same work may be done again.
        Rejected: A value is not one that its column takes, or breaks a rule of the table.
        Broken: A statement is wrong, or a right is missing.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        refused = refusal(error)
        if refused:
            raise Rejected(f"state database: {refused}") from error
        passes = isinstance(error, OperationalError | InterfaceError | InternalError)
        if passes or error.connection_invalidated or _code(error) in {"40001", "40P01", "55P03", "57014", "57P01"}:
            raise Transient(f"state database: {_first_line(error)}") from error
        raise Broken(f"state database: {_first_line(error)}") from error


def among(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Say in a statement that a text is one of these: one parameter, however many there are (IN takes 65,535)."""
    return column == any_(literal(sorted(set(values)), ARRAY(Text)))


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _first_line(error: DBAPIError) -> str:
    """Give the driver's own first line; the rest may quote values."""
    return str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
