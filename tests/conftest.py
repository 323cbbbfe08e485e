"""What all tests share: one PostgreSQL for a run (one for each xdist worker), one Kafka for the live ones."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from counterflow.state.server import EmbeddedServer, embedded
from sandbox.broker import Broker

# A busy machine must not fail a test: what hangs is ended by pytest's own time-out.
hypothesis.settings.register_profile("counterflow", deadline=None)
hypothesis.settings.load_profile("counterflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why the SQL Server tests are not run."""
    if os.environ.get("COUNTERFLOW_MSSQL_URL"):
        return
    skip = pytest.mark.skip(reason="no SQL Server: name one in COUNTERFLOW_MSSQL_URL")
    for item in items:
        if item.get_closest_marker("mssql"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """A PostgreSQL that forgets at a crash, and is fast.

    Not in pytest's own folder: another session of pytest closes that to the server's user.
    """
    folder = Path(tempfile.mkdtemp(prefix="counterflow-pg-"))
    server = embedded(folder / "data", durable=False)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """Let no test's log set-up reach the next one: its stream is closed by then."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def fresh_database(postgres: EmbeddedServer) -> str:
    """The address of a new, empty database."""
    return postgres.url(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Kafka broker."""
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.servers


@pytest.fixture
def prefix() -> str:
    """A topic prefix of this test's own."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of this test's own."""
    return tmp_path
