"""Errors of a damaged library, each in one line."""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from firstsight.errors import FirstsightError, LibraryError
from firstsight.object_store import ObjectPath
from firstsight.progress import INTERRUPTIONS

CHECK = "`firstsight library check LIBRARY` lists what is damaged; else index the footage again into another folder"
# Positions in the source code of LanceDB, on the machine that it was built on.
_BUILD_PATHS = re.compile(r",?\s*(?:at\s+)?/\S+\.rs:\d+(?::\d+)?")
_MAX_REASON = 300
# The end of a Lance manifest: offset of its content (little endian), version, magic. The content follows its length.
_END = struct.Struct("<Q4x4s")
_LENGTH = struct.Struct("<I")
_MAGIC = b"LANC"


@contextmanager
def translated_errors(folder: Path) -> Iterator[None]:
    """Turns errors of LanceDB or the disk into `LibraryError`s of one line."""
    try:
        yield
    except (FirstsightError, *INTERRUPTIONS, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise LibraryError(_explained(error, folder)) from error


def _explained(error: BaseException, folder: Path) -> str:
    text = str(error) or type(error).__name__
    reason = _BUILD_PATHS.sub("", text.splitlines()[0])[:_MAX_REASON].strip()
    if "No space left" in text or "os error 28" in text:
        return (
            f"the disk of {folder} is full; free a few megabytes, which removing takes too: then "
            "`firstsight library compact LIBRARY` gives back what was removed or replaced"
        )
    if "Not found" in text and ".lance" in text:
        return (
            f"a file of the tables in {folder} is gone ({reason}): open the library again, if another process has "
            f"compacted it meanwhile; or it is damaged: {CHECK}"
        )
    return f"the tables in {folder} cannot be used ({reason}); check the disk: {CHECK}"


def check_columns(found: pa.Schema, expected: Iterable[pa.Field]) -> None:
    """Raises LibraryError if a column is missing, or of another type."""
    for field in expected:
        if field.name not in found.names or found.field(field.name).type != field.type:
            there = found.field(field.name).type if field.name in found.names else "missing"
            raise LibraryError(f"the tables are damaged: column {field.name} is {there}, not {field.type}; {CHECK}")


def check_files(folder: Path) -> None:
    """Checks the files of the tables, on which LanceDB would block, or panic with a message on standard error.

    Raises:
        LibraryError: something is neither a regular file nor a folder, or a table's newest list of files is incomplete.
    """
    if isinstance(folder, ObjectPath):
        return  # an object is there as a whole, or is not there
    if not folder.is_dir():  # LanceDB would make it
        raise LibraryError(f"the tables in {folder} are missing: {CHECK}")
    for entry in _entries(folder):
        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
            raise LibraryError(
                f"the tables in {folder} are damaged: {entry.name} is neither a file nor a folder; {CHECK}"
            )
    for versions in sorted(folder.glob("*.lance/_versions")):
        # Numbered downwards: the newest is the first.
        newest = min(versions.glob("[0-9]" * 20 + ".manifest"), default=None)
        if newest is not None and not _is_complete(newest):
            raise LibraryError(
                f"the tables in {folder} are damaged: {newest.relative_to(folder)} is cut or overwritten; {CHECK}"
            )


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # another process may be compacting
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))


def _is_complete(path: Path) -> bool:
    try:
        end = path.stat().st_size - _END.size
        if end < _LENGTH.size:
            return False
        with path.open("rb") as file:
            file.seek(end)
            begin, magic = _END.unpack(file.read(_END.size))
            if magic != _MAGIC or begin + _LENGTH.size > end:
                return False
            file.seek(begin)
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            return bool(begin + _LENGTH.size + length <= end)
    except FileNotFoundError:
        return True  # another process has compacted: there is a newer one
