"""The few spots where SQL Server and PostgreSQL differ (docs/facts/sql-server.md 3.1)."""

from typing import Any

from sqlalchemy import BigInteger, Connection, DateTime
from sqlalchemy import text as sql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

LOCK_S_MAX = 10  # Longer than any of our transactions; then the command waits and comes again.

# One batch, inside the transaction; NOCOUNT is switched off again, or row counts of this connection would be -1.
APP_LOCK = """
SET NOCOUNT ON;
DECLARE @rc int;
EXEC @rc = sp_getapplock @Resource = :name, @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 10000;
SET NOCOUNT OFF;
IF @rc < 0 THROW 51000, 'applock', 1;
"""
POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"


class utcnow(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it is
    """The database's time, in UTC."""

    type = DateTime()
    inherit_cache = True


@compiles(utcnow, "mssql")
def _mssql_utcnow(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "SYSUTCDATETIME()"


@compiles(utcnow, "postgresql")
def _postgresql_utcnow(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "timezone('utc', clock_timestamp())"


def app_lock(connection: Connection, name: str) -> None:
    """Take the lock on a name until the transaction ends. Several locks are taken in sorted order."""
    statement = APP_LOCK if connection.dialect.name == "mssql" else POSTGRES_LOCK
    if connection.dialect.name != "mssql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_S_MAX}s'")
    connection.execute(sql(statement), {"name": name})


class row_version(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it is
    """A row version as a whole number."""

    type = BigInteger()
    inherit_cache = True


@compiles(row_version, "mssql")
def _mssql_row_version(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS bigint)"


@compiles(row_version, "postgresql")
def _postgresql_row_version(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


class newer_than(FunctionElement[Any]):  # noqa: N801
    """Say whether a row version is above a whole number; the column itself is compared, so an index serves.

    It has no type: SQL Server knows no boolean, and SQLAlchemy would write "= 1" behind one.
    """

    inherit_cache = True


@compiles(newer_than, "mssql")
def _mssql_newer_than(element: Any, compiler: Any, **options: Any) -> str:
    version, number = (compiler.process(part, **options) for part in element.clauses)
    return f"{version} > CAST(CAST({number} AS bigint) AS binary(8))"


@compiles(newer_than, "postgresql")
def _postgresql_newer_than(element: Any, compiler: Any, **options: Any) -> str:
    version, number = (compiler.process(part, **options) for part in element.clauses)
    return f"{version} > {number}"


OLDEST_ACTIVE = "SELECT CAST(MIN_ACTIVE_ROWVERSION() AS bigint) - 1"
# The sandbox's sequence tells of no transaction that is still at work: a wide margin is read again instead.
SANDBOX_OLDEST_ACTIVE = "SELECT last_value - 2000 FROM row_ts"


def oldest_active(connection: Connection) -> int:
    """Give a row version up to which no transaction is at work any more.

    To be asked for before the rows are read, in a transaction of its own: what is committed after a snapshot has begun
    and before this is asked would be below it, and yet not be seen (docs/facts/sql-server.md 5.4).
    """
    statement = OLDEST_ACTIVE if connection.dialect.name == "mssql" else SANDBOX_OLDEST_ACTIVE
    return int(connection.execute(sql(statement)).scalar() or 0)
