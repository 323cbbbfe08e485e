"""Whatever is killed in mid-stream: afterwards nothing is lost, and nothing is there twice."""

import pytest
from sqlalchemy import create_engine, text

from tests.live.world import World

pytestmark = pytest.mark.live


def test_each_process_may_be_killed_hard_in_mid_stream(world: World) -> None:
    before = {role: child["starts"] for role, child in world.pipeline.children().items()}
    assert len(before) == 7
    with world.stream() as stream:
        for role in before:
            stream.wait_for_more(5)
            world.kill(role)
        stream.wait_for_more(5)
    world.wait_until_right()
    after = {role: child["starts"] for role, child in world.pipeline.children().items()}
    assert after == {role: starts + 1 for role, starts in before.items()}, "something left that nobody killed"


def test_kafka_may_be_killed_hard_in_mid_stream(world: World) -> None:
    with world.stream() as stream:
        stream.wait_for_more(10)
        world.made.broker.kill()
        stream.wait_for_more(20)
        world.made.broker.start()
        stream.wait_for_more(10)
    world.wait_until_right()


def test_the_state_database_may_go_away_in_mid_stream(world: World) -> None:
    with world.stream() as stream:
        stream.wait_for_more(10)
        _shut(world)
        stream.wait_for_more(20)
        _open(world)
        stream.wait_for_more(10)
    world.wait_until_right()


def test_answers_may_get_lost_while_processes_are_killed(world: World) -> None:
    world.remote.faults("counterpoint", share_half_applied=0.3)
    try:
        with world.stream() as stream:
            for role in ("consume-counterpoint", "process", "consume-counterpoint"):
                stream.wait_for_more(15)
                world.kill(role)
    finally:
        world.remote.faults("counterpoint", share_half_applied=0.0)
    world.wait_until_right()


def _shut(world: World) -> None:
    """Take the state database away: nobody is let in, and whoever is in is thrown out."""
    _tell(world, "ALTER DATABASE counterflow ALLOW_CONNECTIONS false")
    _tell(world, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'counterflow'")


def _open(world: World) -> None:
    _tell(world, "ALTER DATABASE counterflow ALLOW_CONNECTIONS true")


def _tell(world: World, statement: str) -> None:
    engine = create_engine(world.made.postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
