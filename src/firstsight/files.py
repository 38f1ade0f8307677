"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path

from firstsight.errors import RunError


def write_whole(path: Path, content: bytes) -> None:
    """Puts the content at the path; whoever reads it finds the old file or the new one, never a part.

    Raises:
        RunError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror}; choose a folder that can be, with free space"
        ) from error
