"""The command ``python -m memory``; its parts are in people/command/."""

from __future__ import annotations

import sys

from people.command import main

if __name__ == "__main__":
    sys.exit(main())
