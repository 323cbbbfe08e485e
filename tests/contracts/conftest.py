"""The sandbox's Counterpoint, once for each module that asks for it."""

import uuid
from collections.abc import Iterator

import pytest

from counterflow.state.server import EmbeddedServer
from tests.contracts.counterpoint_shop import Shop


@pytest.fixture(scope="module")
def running(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    opened = Shop(postgres.url(f"c{uuid.uuid4().hex[:12]}"), tmp_path_factory.mktemp("shop"))
    yield opened
    opened.close()


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    yield running
    running.faults(down=False, delay_s=0.0, share_429=0.0, share_500=0.0, share_half_applied=0.0)
