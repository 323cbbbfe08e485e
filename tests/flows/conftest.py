"""One migrated database for all flow tests of a run: a test begins with its tables empty, or with a copy of its own."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from counterflow.state.database import migrate, open_database
from counterflow.state.server import EmbeddedServer
from tests.flows.pipeline import Pipeline


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedServer) -> str:
    """The name of a database that has its tables, and that nobody is connected to."""
    name = f"flows_{uuid.uuid4().hex[:8]}"
    engine = open_database(postgres.url(name))
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture(scope="session")
def database(postgres: EmbeddedServer, migrated: str) -> Iterator[Engine]:
    """A state database with its tables."""
    engine = open_database(copy_of(postgres, migrated))
    yield engine
    engine.dispose()


@pytest.fixture
def fresh_database(postgres: EmbeddedServer, migrated: str) -> str:
    """The address of a new database that has its tables already."""
    return copy_of(postgres, migrated)


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    """The processors over empty tables; the gate is shut, as after a first start."""
    return Pipeline(database)


def copy_of(postgres: EmbeddedServer, name: str) -> str:
    copy = f"flows_{uuid.uuid4().hex[:8]}"
    admin = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
    admin.dispose()
    return postgres.url(copy)
