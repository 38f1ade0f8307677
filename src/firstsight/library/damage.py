"""What is wrong with the tables of a damaged library, in one line of ours."""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from firstsight.errors import FirstsightError, LibraryError
from firstsight.progress import INTERRUPTIONS

CHECK = "`firstsight library check LIBRARY` says what is whole; index the footage again into another folder if need be"
# Where in the sources of a library something was noticed, on the machine that it was built on.
_BUILD_PATHS = re.compile(r",?\s*(?:at\s+)?/\S+\.rs:\d+(?::\d+)?")
_MAX_REASON = 300
# The end of a Lance manifest: where its content begins (little endian), its version, and who made it. There stand the
# length of the content and the content.
_END = struct.Struct("<Q4x4s")
_LENGTH = struct.Struct("<I")
_MAGIC = b"LANC"


@contextmanager
def translated_errors(folder: Path) -> Iterator[None]:
    """What LanceDB or the disk has to complain about, as one line.

    Raises:
        LibraryError: in place of theirs.
    """
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
            f"a file of the tables in {folder} is not there any more ({reason}): another process has compacted the "
            f"library meanwhile, then open it again; or it is damaged: {CHECK}"
        )
    return f"the tables in {folder} cannot be used ({reason}); check the disk: {CHECK}"


def check_columns(found: pa.Schema, expected: Iterable[pa.Field]) -> None:
    """Raises if a table is not made as the library says.

    Raises:
        LibraryError: a column is missing, or of another type.
    """
    for field in expected:
        if field.name not in found.names or found.field(field.name).type != field.type:
            there = found.field(field.name).type if field.name in found.names else "missing"
            raise LibraryError(f"the tables are damaged: column {field.name} is {there}, not {field.type}; {CHECK}")


def check_files(folder: Path) -> None:
    """Raises if something in the folder of tables cannot be read as one of their files.

    LanceDB would wait for ever, or panic: an error all the same, but with Rust's own words on standard error before it.

    Raises:
        LibraryError: there is something else than regular files and folders, or the newest list that a table has of its
            own files is not a whole one.
    """
    for entry in _entries(folder):
        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
            raise LibraryError(
                f"the tables in {folder} are damaged: {entry.name} is neither a file nor a folder; {CHECK}"
            )
    for versions in sorted(folder.glob("*.lance/_versions")):
        # Numbered downwards, so that the newest comes first.
        newest = min(versions.glob("[0-9]" * 20 + ".manifest"), default=None)
        if newest is not None and not _is_whole(newest):
            raise LibraryError(
                f"the tables in {folder} are damaged: {newest.relative_to(folder)} is cut or overwritten; {CHECK}"
            )


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # another process may just tidy up
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))


def _is_whole(path: Path) -> bool:
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
        return True  # another process has just tidied up: there is a newer one
