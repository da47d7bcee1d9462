"""`python -m mechlab.contracts`."""

from mechlab.contracts import main

main()
