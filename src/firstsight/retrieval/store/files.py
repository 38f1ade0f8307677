"""The files that are to be in a library: found, told apart by their content, named."""

import hashlib
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import SourceError
from firstsight.retrieval.store.records import Stamp
from firstsight.video.finding import find_all, summary
from firstsight.video.live import place_of

_HASH_BYTES = 16  # of blake2b: no two files of this world share them by chance

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FootageFile:
    """A video or a picture that was asked for."""

    path: Path  # absolute
    name: str  # relative to the folder that was asked for
    is_picture: bool


def find_footage(sources: Sequence[str | os.PathLike[str]]) -> tuple[list[FootageFile], list[str]]:
    """The files that paths, folders and patterns stand for, each once; and a line for each that stands for none."""
    files: dict[Path, FootageFile] = {}
    failures = []
    for source in sources:
        try:
            for file in _files_of(source):
                files.setdefault(file.path, file)
        except SourceError as error:
            failures.append(str(error))
    return list(files.values()), failures


def _files_of(source: str | os.PathLike[str]) -> list[FootageFile]:
    if place_of(source):
        raise SourceError(
            f"{os.fspath(source)!r} cannot be read again, and a library goes by files: record it, then index the file"
        )
    found = find_all(source)
    if found.left_out:
        _LOG.warning(summary(found.left_out))
    absolute = [Path(os.path.abspath(file.path)) for file in found.files]  # noqa: PTH100  # a link stays a name of its own
    return [FootageFile(path, file.name, file.is_picture) for path, file in zip(absolute, found.files, strict=True)]


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of change; None if there is no such file, or nobody may look at it."""
    try:
        state = path.stat()
    except OSError:
        return None
    return Stamp(state.st_size, state.st_mtime_ns)


def content_hash(path: Path, *, name: str) -> str:
    """32 hexadecimal digits of a file's bytes.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_HASH_BYTES)).hexdigest()
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror}") from error


def free_name(file: FootageFile, taken: Collection[str]) -> str:
    """The file's name, with as many of the folders above it as it takes to be the only one of that name."""
    if file.name not in taken:
        return file.name
    parts = file.path.parts
    tails = ("/".join(parts[-length:]) for length in range(1 + file.name.count("/"), len(parts)))
    return next((tail for tail in tails if tail not in taken), file.path.as_posix())
