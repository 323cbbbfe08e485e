"""`python -m counterflow.cli`."""

from counterflow.cli.main import main

main()
