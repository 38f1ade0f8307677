"""Pictures out."""

import errno
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
