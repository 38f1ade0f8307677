"""From what a person names to files: a path, a folder with its subfolders, a pattern, or several of these."""

import glob
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import SourceError
from firstsight.video.images import IMAGE_SUFFIXES

# Recognised in folders and patterns; a file that is named itself can have any suffix.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)

_VALID = "valid are a video or picture, a folder of them, or a pattern such as 'walks/*.mp4'"

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Found:
    """Files to read one after the other: all videos, or all pictures."""

    name: str  # for people
    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of each file, relative to the folder they are all in
    are_images: bool


def find_files(spec: PathLike | Sequence[PathLike]) -> Found:
    """The files that a path, a folder, a pattern or a list of these stands for.

    Raises:
        SourceError: one does not exist or cannot be read, nothing is in it, or a list mixes videos and pictures.
    """
    if isinstance(spec, str | os.PathLike):
        return _find(os.fspath(spec))
    strangers = {type(part).__name__ for part in spec if not isinstance(part, str | os.PathLike)}
    if strangers:
        raise SourceError(
            f"the list holds {', '.join(sorted(strangers))}: valid are paths, or one array of all pictures"
        )
    parts = [_find(os.fspath(part)) for part in spec]
    if not parts:
        raise SourceError(f"the list of files is empty: {_VALID}")
    if len({part.are_images for part in parts}) > 1:
        raise SourceError("the list holds videos and pictures; valid is one kind: read them one after the other")
    paths = [path for part in parts for path in part.paths]
    if len(paths) == 1:
        return parts[0]
    return _found(paths, parts[0].are_images, root=_common_folder(paths), where="")


def _find(text: str) -> Found:
    kind = _kind(text)
    if kind == "file":
        path = Path(text)
        return Found(path.name, (path,), (path.name,), path.suffix.lower() in IMAGE_SUFFIXES)
    if kind == "folder":
        folder = Path(text)
        place = f"{folder.name or folder.resolve().name or folder}/"
        return _footage(_files_under(folder), root=folder, where=f" in {place}")
    matches = sorted(glob.glob(text, recursive=True), key=_natural)  # noqa: PTH207, the pattern may be absolute
    if not matches:
        what = "nothing matches the pattern" if glob.has_magic(text) else "there is no file or folder"
        raise SourceError(f"{what} {text!r}: {_VALID}")
    paths = [path for match in matches for path in _files_at(Path(match))]
    return _footage(paths, root=_common_folder(paths) if paths else Path(), where=f" matching {text}")


def _kind(text: str) -> str:
    """Whether there is a "file", a "folder" or "nothing" of that name."""
    if not text:
        raise SourceError(f"the path is empty: {_VALID}")
    try:
        mode = Path(text).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{text!r} cannot be read ({reason}): {_VALID}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise SourceError(f"{text!r} is neither a file nor a folder: {_VALID}")


def _files_at(path: Path) -> list[Path]:
    return _files_under(path) if path.is_dir() else [path]


def _files_under(folder: Path) -> list[Path]:
    """The files of a folder and its subfolders in natural order, without hidden ones."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(f"folder {str(folder)!r} cannot be read: you have no permission")
    paths: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(paths, key=lambda path: _natural(str(path)))


def _footage(paths: Iterable[Path], *, root: Path, where: str) -> Found:
    """Of any files those that are videos or, if there is none, those that are pictures."""
    by_suffix = [(path, path.suffix.lower()) for path in paths]
    videos = [path for path, suffix in by_suffix if suffix in VIDEO_SUFFIXES]
    images = [path for path, suffix in by_suffix if suffix in IMAGE_SUFFIXES]
    if not videos and not images:
        raise SourceError(
            f"there is no video or picture{where}: valid are files such as .mp4, .mov, .mkv, .avi, .jpg and .png"
        )
    return _found(videos or images, not videos, root=root, where=where)


def _found(paths: Sequence[Path], are_images: bool, *, root: Path, where: str) -> Found:
    kind = ("image" if are_images else "video") + ("s" if len(paths) > 1 else "")
    names = tuple(Path(os.path.relpath(path, root)).as_posix() for path in paths)
    return Found(f"{len(paths)} {kind}{where}", tuple(paths), names, are_images)


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key by which "take 2" comes before "take 10"."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
