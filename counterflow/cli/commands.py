"""Every command that there is: what begins and ends, beside the pipeline's own processes of `main`."""

from counterflow.cli import doctor, ledger, matches, order, people, points, sandbox_commands, steer
from counterflow.cli.main import app

__all__ = ["app"]

for each in (steer, order, ledger, points, people, matches, sandbox_commands, doctor):
    each.add_to(app)
