"""The files of a path, a folder with its subfolders, a pattern, or several of these.

Loads neither NumPy nor PyAV, so that the command line refuses a mistyped path at once.
"""

# ruff: noqa: PTH112, PTH114  # `os.path` answers False where `Path` raises for want of permission
import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import SourceError, brief
from firstsight.files import special_file
from firstsight.object_store import ObjectPath, to_path
from firstsight.text import printable

# Recognised in folders and by name; Pillow reads all of these wherever it is installed.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Recognised in folders and patterns; a file that is named itself can have any suffix.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".dv", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)

_VALID = "valid are a video or picture, a folder of them, or a pattern such as 'walks/*.mp4'"

_NAMES_SHOWN = 3  # of what is left out, for each reason

PathLike = str | os.PathLike[str]


STANDARD_INPUT = "-"
# Cameras speak RTSP; streaming programs RTMP; web cameras, players' lists and files HTTP; broadcasts UDP.
_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp)://\S+", re.IGNORECASE)
# Names of cameras on Linux; a number is the n-th camera. A file of that name comes first.
_CAMERA = re.compile(r"/dev/video\d+|/dev/v4l/.+|\d+|video=.+")


def is_address(text: str) -> bool:
    """Whether the text is an address of footage in a network."""
    return _ADDRESS.fullmatch(text) is not None


def is_camera(text: str) -> bool:
    """Whether the text is a camera's number or device."""
    return _CAMERA.fullmatch(text) is not None and (text.startswith("/dev/") or not os.path.exists(text))  # noqa: PTH110  # `Path` raises


def is_live(text: str) -> bool:
    """Whether the text names footage that can be read once: standard input, a camera, or an address."""
    return text == STANDARD_INPUT or is_address(text) or is_camera(text)


def is_picture(path: Path) -> bool:
    """Whether a file of that name is a still picture; any other is a video."""
    return path.suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True)
class LeftOut:
    """Something in a folder that is not read."""

    name: str  # relative to the folder that was named, printable
    kind: str  # what it is, or why it is left out, in the singular: "picture", "FIFO", "broken link"


@dataclass(frozen=True)
class FoundFile:
    """A file to read."""

    path: Path
    name: str  # relative to the common folder, printable
    is_picture: bool


@dataclass(frozen=True)
class FoundFiles:
    """Videos and pictures, and what else is there."""

    where: str  # for people, to follow their number: " in walks/"
    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Found:
    """Files to read one after the other: all videos, or all pictures."""

    name: str  # for people
    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of each file, relative to the common folder, printable
    are_images: bool
    left_out: tuple[LeftOut, ...] = ()  # what else is there; pictures beside videos too


def find_files(spec: PathLike | Sequence[PathLike]) -> Found:
    """The files that a path, a folder, a pattern or a list of these names; of videos and pictures only the videos.

    Raises:
        SourceError: one does not exist or cannot be read, nothing is in it, or a list mixes videos and pictures.
    """
    if isinstance(spec, str | os.PathLike):
        return _of_one_kind(find_all(spec))
    invalid = {type(part).__name__ for part in spec if not isinstance(part, str | os.PathLike)}
    if invalid:
        raise SourceError(f"the list holds {', '.join(sorted(invalid))}: valid are paths, or one array of all pictures")
    parts = [_of_one_kind(find_all(part)) for part in spec]
    if not parts:
        raise SourceError(f"the list of files is empty: {_VALID}")
    if len({part.are_images for part in parts}) > 1:
        raise SourceError("the list holds videos and pictures; valid is one kind: read them one after the other")
    paths = [path for part in parts for path in part.paths]
    left_out = tuple(dict.fromkeys(left_out for part in parts for left_out in part.left_out))
    if len(paths) == 1:
        return parts[0]
    name = _counted(len(paths), "image" if parts[0].are_images else "video")
    root = _common_folder(paths)
    return Found(name, tuple(paths), tuple(_name(path, root) for path in paths), parts[0].are_images, left_out)


def find_all(spec: PathLike) -> FoundFiles:
    """The videos and pictures that a path, a folder or a pattern names, each once, and what is left out.

    In a folder the suffix decides. Links to files and folders are followed, but no folder is entered twice, and a file
    of several names, as links give it, is read under one: see `other_names`. Left out are hidden files, files of other
    kinds, FIFOs, sockets, devices, broken links and folders without permission.

    Raises:
        SourceError: it does not exist or cannot be read, or no video or picture is in it.
    """
    text = os.fspath(spec)
    if isinstance(path := to_path(text), ObjectPath):
        return _in_store(path)
    kind = _kind(text)
    if kind == "file":
        path = Path(text)
        return FoundFiles("", (FoundFile(path, printable(path.name), is_picture(path)),))
    if kind == "folder":
        folder = Path(text)
        return _footage([folder], root=folder, where=f" in {printable(folder.name or folder.resolve().name or text)}/")
    matches = sorted(glob.glob(text, recursive=True), key=_natural)  # noqa: PTH207, the pattern may be absolute
    if not matches:
        what = "nothing matches the pattern" if glob.has_magic(text) else "there is no file or folder"
        raise SourceError(f"{what} {brief(text)}: {_VALID}")
    return _footage([Path(match) for match in matches], root=None, where=f" matching {printable(text)}")


def _in_store(path: ObjectPath) -> FoundFiles:
    """As `find_all`, of an object store; of a pattern the folder is what comes before it."""
    parts = path.parts
    num_fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root, pattern = type(path)(*parts[:num_fixed]), "/".join(parts[num_fixed:])
    try:
        if path.is_file():
            return FoundFiles("", (FoundFile(path, printable(path.name), is_picture(path)),))
        if pattern and path.is_dir():  # its name has brackets
            root, pattern = path, ""
        found = {file: file.relative_to(root).as_posix() for file in root.files(pattern)}
    except FileNotFoundError:
        found = {}
    except OSError as error:
        raise SourceError(f"{brief(str(path))} cannot be read ({error.strerror}): {_VALID}") from error
    kinds = {file: _kind_by_name(file) for file in found}
    kinds |= {file: "hidden file" for file, name in found.items() if any(p.startswith(".") for p in name.split("/"))}
    left_out = tuple(LeftOut(printable(found[file]), kind) for file, kind in kinds.items() if kind)
    files = sorted((file for file, kind in kinds.items() if not kind), key=lambda file: _natural(found[file]))
    where = f" matching {printable(str(path))}" if pattern else f" in {printable(str(root))}/"
    return _found(where, {file: printable(found[file]) for file in files}, left_out)


def _kind_by_name(path: Path) -> str:
    """Why a file of that name is not read in a folder; empty if it is."""
    suffix = path.suffix.lower()
    return "" if suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES else _UNREAD.get(suffix, "file of no known kind")


def summary(left_out: Sequence[LeftOut]) -> str:
    """What is left out, in one line: "left out: 2 pictures (a.jpg, b.jpg), 1 FIFO (pipe)"; nothing if nothing is."""
    counts = Counter(one.kind for one in left_out)
    parts = []
    for kind, count in counts.items():
        names = [one.name for one in left_out if one.kind == kind][:_NAMES_SHOWN]
        more = ", ..." if count > _NAMES_SHOWN else ""
        parts.append(f"{_counted(count, kind)} ({', '.join(names)}{more})")
    return f"left out: {', '.join(parts)}" if parts else ""


def _of_one_kind(found: FoundFiles) -> Found:
    videos = [file for file in found.files if not file.is_picture]
    files = videos or found.files
    kind, paths = "video" if videos else "image", tuple(file.path for file in files)
    is_named_itself = not found.where
    name = files[0].name if is_named_itself else f"{_counted(len(files), kind)}{found.where}"
    beside = tuple(LeftOut(file.name, "picture") for file in found.files if videos and file.is_picture)
    return Found(name, paths, tuple(file.name for file in files), not videos, beside + found.left_out)


def _kind(text: str) -> str:
    """What has that name: "file", "folder" or "nothing"."""
    if not text:
        raise SourceError(f"the path is empty: {_VALID}")
    try:
        mode = Path(text).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(text):
            raise SourceError(f"{brief(text)} is a link to nothing: {_VALID}") from None
        return "nothing"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{brief(text)} cannot be read ({reason}): {_VALID}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    what = special_file(mode)
    pipe = "; to read what comes through it, give - and redirect it: - < it" if what == "a FIFO" else ""
    raise SourceError(f"{brief(text)} is neither a file nor a folder but {what}: {_VALID}{pipe}")


# Pictures of kinds that are not read in a folder.
_UNREAD = {
    **dict.fromkeys((".heic", ".heif"), "HEIC picture"),
    **dict.fromkeys((".avif", ".j2k", ".jp2", ".tga"), "picture of a rarer kind"),
    **dict.fromkeys((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"), "raw picture of a camera"),
}


class _Search:
    """A walk through folders. Links to folders come last, so that files get names of their own folders."""

    def __init__(self) -> None:
        self.files: dict[Path, None] = {}  # in order, each once
        self.left_out: dict[Path, str] = {}
        self._entered: set[tuple[int, int]] = set()  # device and inode
        self._links: list[Path] = []

    def walk(self, start: Path) -> None:
        """Adds the files at and under the start in natural order of their paths."""
        found: list[Path] = []
        pending = [start]
        while pending or self._links:
            path = pending.pop() if pending else self._links.pop(0)
            children = self._visit(path, found, is_start=path == start)
            links = {child for child in children if os.path.islink(child) and os.path.isdir(child)}
            pending += [child for child in children if child not in links]
            self._links += [child for child in children if child in links]
        self.files.update(dict.fromkeys(sorted(found, key=lambda path: _natural(str(path)))))

    def _visit(self, path: Path, found: list[Path], *, is_start: bool) -> list[Path]:
        """Notes a file; returns what is in a folder."""
        try:
            state = path.stat()
            if stat.S_ISDIR(state.st_mode):
                return self._children(path, (state.st_dev, state.st_ino), is_start=is_start)
        except OSError as error:
            self.left_out[path] = _unreachable(path, error)
            return []
        if what := special_file(state.st_mode):
            self.left_out[path] = what.split(maxsplit=1)[1]
        elif kind := _kind_by_name(path):
            self.left_out[path] = kind
        else:
            found.append(path)
        return []

    def _children(self, folder: Path, identity: tuple[int, int], *, is_start: bool) -> list[Path]:
        if identity in self._entered:
            if os.path.islink(folder) and not is_start:
                self.left_out[folder] = "link to a folder that is read already"
            return []
        self._entered.add(identity)
        with os.scandir(folder) as entries:
            children = sorted(folder / entry.name for entry in entries)
        hidden = [path for path in children if path.name.startswith(".")]
        self.left_out.update((path, "hidden folder" if os.path.isdir(path) else "hidden file") for path in hidden)
        return [path for path in children if not path.name.startswith(".")]


def _unreachable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "folder without permission" if os.path.isdir(path) else "file without permission"
    return "broken link" if os.path.islink(path) else "file that cannot be read"


def other_names(paths: Iterable[Path]) -> dict[Path, str]:
    """The paths of files that others of the paths name too, each with what it is, in the singular.

    The name without them is the first that is no link, behind as few links to folders as can be. What cannot be reached
    has no other names.
    """
    of_file: dict[tuple[int, int], list[Path]] = {}
    for path in paths:
        if isinstance(path, ObjectPath):
            continue  # a store has no links
        with suppress(OSError, ValueError):
            state = path.stat()
            if state.st_ino:  # some file systems have no such number
                of_file.setdefault((state.st_dev, state.st_ino), []).append(path)
    others = (path for names in of_file.values() for path in sorted(names, key=_preference)[1:])
    return {
        path: f"{'link to' if os.path.islink(path) else 'other name of'} a file that is read already" for path in others
    }


def _preference(path: Path) -> tuple[bool, int, list[tuple[int, int, str]]]:
    """A sorting key of the names of one file: the one that it is read under comes first."""
    return os.path.islink(path), sum(map(os.path.islink, path.absolute().parents)), _natural(str(path))


def _footage(starts: Iterable[Path], *, root: Path | None, where: str) -> FoundFiles:
    """The footage at and under the starts, and the rest."""
    search = _Search()
    for start in starts:
        search.walk(start)
    search.left_out.update(others := other_names(search.files))
    for path in others:
        del search.files[path]
    if root and search.left_out.get(root) == "folder without permission":
        raise SourceError(f"folder {str(root)!r} cannot be read: you have no permission")
    root = root or _common_folder([*search.files] or [*search.left_out])
    left_out = tuple(LeftOut(_name(path, root), kind) for path, kind in sorted(search.left_out.items()))
    return _found(where, {path: _name(path, root) for path in search.files}, left_out)


def _found(where: str, names: dict[Path, str], left_out: tuple[LeftOut, ...]) -> FoundFiles:
    if not names:
        beside = f"; {summary(left_out)}" if left_out else ""
        raise SourceError(
            f"there is no video or picture{where}: "
            f"valid are files such as .mp4, .mov, .mkv, .avi, .jpg and .png{beside}"
        )
    return FoundFiles(where, tuple(FoundFile(path, name, is_picture(path)) for path, name in names.items()), left_out)


def _counted(count: int, kind: str) -> str:
    """As in "1 picture" and "2 files of no known kind"."""
    if count == 1:
        return f"1 {kind}"
    return f"{count} " + re.sub(r"^.*?(?= of | without | that | to |$)", r"\g<0>s", kind, count=1)


def _name(path: Path, root: Path) -> str:
    return printable(Path(os.path.relpath(path, root)).as_posix())


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([os.path.abspath(path.parent) for path in paths]))  # noqa: PTH100  # as `relpath`


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key by which "take 2" comes before "take 10"."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
