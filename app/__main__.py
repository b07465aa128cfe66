"""Lets `python -m app` stand in for the `token-broker` command."""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
