"""`python -m localbox.cli` is `localbox`."""

from localbox.cli import main

main()
