"""The most memory that a process held."""

from pathlib import Path


def peak_megabytes(process: int | str = "self") -> float:
    """Of this process, or of one with that number, from its own beginning; `getrusage` counts what its parent held when
    it was started as well.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
