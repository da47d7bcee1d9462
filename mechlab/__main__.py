"""`python -m mechlab COMMAND ...`, the same as the console script `mechlab`."""

from mechlab.cli import main

main()
