"""`counterflow up`: it stops whole, and starts again whole after the hardest end."""

import os
import signal

import pytest

from tests.live.waiting import wait_for
from tests.live.world import BACK_S_MAX, World, ours

pytestmark = pytest.mark.live


def test_a_start_after_everything_was_killed_hard_goes_on_where_it_was(world: World) -> None:
    assert len(ours(world.made.folder)) == 8
    for pid in ours(world.made.folder):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not ours(world.made.folder), within_s=BACK_S_MAX, what="something lives on")
    lines = [{"sku": world.shop.products["north"][1]["sku"], "quantity": 1}]
    order = world.place("north", person="unheard", email="un.heard@example.net", lines=lines)
    world.pipeline.stop()
    world.pipeline.start()
    world.wait_for_document(f"N-{order}")
    world.wait_until_right()


def test_ctrl_c_stops_every_process(world: World) -> None:
    supervisor = next(pid for pid, line in ours(world.made.folder).items() if " up --config" in line)
    os.killpg(supervisor, signal.SIGINT)  # As a terminal does: the whole group hears it.
    wait_for(lambda: not ours(world.made.folder), within_s=BACK_S_MAX, what=lambda: ours(world.made.folder))
