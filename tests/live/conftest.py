"""One installation and its running pipeline for all live tests that need them."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterflow.cli.installation import Installation
from sandbox.remote import Remote
from sandbox.shop import generate
from tests.live.world import World, day_of, ours

SEED = 11
# Those first that need no installation: two of them at once are more than a small machine likes.
ORDER = ("test_demo", "test_engine", "test_bad_input", "test_kills", "test_up")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the live tests last, and in their order."""
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)
    for item in items:
        if "started" in getattr(item, "fixturenames", ()):  # The first of them begins with an empty installation.
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def open_folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter; it is kept where a test failed.

    Not one of pytest's: another session of pytest closes those to everybody else while we run.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # Stopped, we stop what we started.
    folder = Path(tempfile.mkdtemp(prefix="counterflow-live-"))
    yield folder
    signal.signal(signal.SIGTERM, before)
    if not request.session.testsfailed:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def installation(open_folder: Path) -> Iterator[Installation]:
    """Kafka, PostgreSQL and the sandbox."""
    with Installation(seed=SEED, folder=open_folder / "shared", durable=False) as made:
        yield made


@pytest.fixture(scope="session")
def started(installation: Installation) -> Iterator[World]:
    """The running pipeline, Master Sync on, once both stores show what the shop has."""
    shop = generate(SEED)
    with installation.pipeline() as pipeline:
        made = World(installation, pipeline, Remote(installation.addresses), shop, day_of(installation, shop, SEED))
        pipeline.master_on()
        made.wait_until_right()
        yield made


@pytest.fixture
def world(started: World) -> World:
    """The shared installation with its pipeline running, whatever the test before did to it."""
    if not ours(started.made.folder):
        started.pipeline.stop()
        started.pipeline.start()
    return started
