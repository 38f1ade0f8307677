"""Pictures out."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firstsight.errors import RunError
from firstsight.footage.encoding import VideoWriter


def test_a_file_whose_end_cannot_be_written_is_closed_all_the_same(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", size=(32, 32))
    writer.write(np.zeros((32, 32, 3), np.uint8), seconds=0)

    class Full:
        def __init__(self, container: object) -> None:
            self._container, self.is_closed = container, False

        def mux(self, _: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            self.is_closed = True
            self._container.close()  # type: ignore[attr-defined]

    writer._container = full = Full(writer._container)  # type: ignore[assignment]
    with pytest.raises(RunError, match=r"a\.mp4 cannot be written: No space left on device"):
        writer.close()
    assert full.is_closed


def test_the_same_pictures_give_the_same_file_whatever_was_in_memory_and_by_one_processor_too(tmp_path: Path) -> None:
    program = """if True:
        import os, sys, numpy as np
        from pathlib import Path
        from firstsight.footage.encoding import VideoWriter

        if sys.argv[2] == "85" and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        ground = np.random.default_rng(1).integers(60, 120, (48, 64, 3), np.uint8)
        random = np.random.default_rng(int(sys.argv[2]))
        for number in range(20):
            used = [np.full(size, 7, np.uint8) for size in random.integers(100, 400_000, 100)]
            del used
            with VideoWriter(Path(sys.argv[1]) / f"{number}.mp4", size=(64, 48)) as writer:
                for index in range(100):
                    picture, x, y = ground.copy(), int(24 + 20 * np.sin(index / 9)), int(18 + 14 * np.cos(index / 7))
                    picture[y : y + 10, x : x + 10] = (250, 200, 40 + index)
                    writer.write(picture, seconds=index / 25)
        with VideoWriter(Path(sys.argv[1]) / "large.mp4", size=(640, 480)) as writer:  # more than one slice
            for index in range(3):
                writer.write(ground.repeat(10, axis=0).repeat(10, axis=1), seconds=index / 25)
    """
    found = set()
    for fill in (0, 85, 255):  # glibc fills memory that is asked for with that byte
        command = [sys.executable, "-c", program, str(tmp_path), str(fill)]
        subprocess.run(command, check=True, env={**os.environ, "MALLOC_PERTURB_": str(fill)})
        found |= {(path.name == "large.mp4", path.read_bytes()) for path in tmp_path.iterdir()}
    assert len(found) == 2
