"""`python -m water_gee`: the same as the command `water-gee`."""

from __future__ import annotations

from water_gee.cli import main

if __name__ == "__main__":
    main()
