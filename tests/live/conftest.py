"""One installation and its running pipeline for all live tests that need them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterflow.cli.installation import Installation
from sandbox.remote import Remote
from sandbox.shop import generate
from tests.live.world import World, day_of

SEED = 11
# Those first that need no installation: two of them at once are more than a small machine likes.
ORDER = ("test_demo", "test_engine", "test_bad_input", "test_kills", "test_up")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the live tests last, and in their order."""
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Kafka, PostgreSQL and the sandbox in a folder of their own; it is kept where a test failed."""
    folder = Path(tempfile.mkdtemp(prefix="counterflow-live-"))
    with Installation(seed=SEED, folder=folder, durable=False) as made:
        yield made
    if not request.session.testsfailed:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def world(installation: Installation) -> Iterator[World]:
    """The running pipeline, Master Sync on, once both stores show what the shop has."""
    shop = generate(SEED)
    with installation.pipeline() as pipeline:
        made = World(installation, pipeline, Remote(installation.addresses), shop, day_of(installation, shop, SEED))
        pipeline.master_on()
        made.wait_until_right()
        yield made
