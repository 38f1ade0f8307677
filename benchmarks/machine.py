"""What a figure depends on."""

import subprocess
from pathlib import Path

from firstsight.device import describe_machine


def machine() -> dict[str, str | int]:
    """The machine, and the commit measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return {**describe_machine(), "commit": commit.stdout.strip() or "not in a checkout"}
