"""How much memory this process holds."""

from pathlib import Path

import pytest

_STATUS = Path("/proc/self/status")
needs_proc = pytest.mark.skipif(not _STATUS.exists(), reason="needs /proc to know how much memory is in use")


def megabytes() -> float:
    """Memory of its own. Pages of program files, which the system drops and reads again as it likes, do not count."""
    facts = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return sum(int(facts[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1000
