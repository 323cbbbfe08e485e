"""The demo's day from a seed, as anybody can play it: it proves itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]


def test_the_demo_plays_a_day_and_ends_with_nothing_wrong_and_a_replay_that_changes_nothing(open_folder: Path) -> None:
    folder = open_folder / "demo"
    folder.mkdir()
    file = folder / "demo.json"
    words = ["demo", "--once", "--seed", "7", "--minutes", "0.7", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "counterflow.cli", *words],
        cwd=folder,  # Its own folder is relative: a demo that somebody plays in the checkout is left alone.
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1750,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    report = json.loads(file.read_text())
    assert (report["wrong"], report["replay_changes"]) == (0, 0)
    assert all(flow["changes"] for flow in report["flows"]), "nothing happened in a flow"
