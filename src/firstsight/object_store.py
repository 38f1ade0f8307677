"""Files of an object store, such as Amazon S3 and what speaks its protocol: paths whose use is a request.

An address, s3://bucket/folder/name, is an `ObjectPath`; what reads and writes by the methods of `pathlib.Path` serves
both. Requests are those of fsspec, whose package for the store is an extra: `pip install firstsight[s3]`. Credentials,
region and address of the service are those of the environment, as other programs take them: AWS_ACCESS_KEY_ID,
AWS_REGION, AWS_ENDPOINT_URL.

A store has no folders, only names with slashes in them, so a folder is there as long as something is in it. It has no
locks either; see `leases`.
"""

import atexit
import errno
import os
import re
import shutil
import stat
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Self

from firstsight.errors import FirstsightError, SettingsError

_HAS_LOCKS = find_spec("fcntl") is not None  # not on Windows
# fsspec's name of each protocol, and the package that speaks it.
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
# `Path` makes one slash of two.
_ADDRESS = re.compile(rf"({'|'.join(_PACKAGES)}):/{{1,2}}(?=[^/])")
# How stores say that there is such a file, or that others make it at this moment, where s3fs does not.
_CONFLICTS = ("PreconditionFailed", "412", "ConditionalRequestConflict")
_MAX_COPIED_BYTES = 20e9
_SHARE_OF_DISK = 0.5  # of what is free, for copies
_MIN_COPIES = 8
_COPIES = "firstsight-copies-"
_PLAIN_SUFFIX = re.compile(r"\.\w{1,10}", re.ASCII)


class ObjectPath(type(Path())):  # type: ignore[misc]  # the system's own kind of path
    """A file or a folder of an object store. Its text is the address.

    All methods that ask the store raise a `StoreError` where it refuses or does not answer, `FileNotFoundError` if
    there is no such object, and `SettingsError` without the package that speaks the protocol.
    """

    def __str__(self) -> str:
        return _ADDRESS.sub(r"\1://", super().__str__(), count=1)

    def __fspath__(self) -> str:
        return str(self)

    @property
    def protocol(self) -> str:
        """Of the address: "s3"."""
        return str(self).partition(":")[0]

    @property
    def bucket(self) -> Self:
        """The bucket that it is in."""
        return type(self)(*self.parts[:2])

    def has_bucket(self) -> bool:
        """Whether that exists; True too if the credentials, which may be for a folder alone, do not say."""
        with suppress(RefusedError):
            return self.bucket.exists()
        return True

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002  # as `Path` has it
        """Size, kind and time. Times end with a number of the content, as a store's are of whole seconds."""
        with self._asked() as files:
            info = files.info(str(self))
            if info["type"] == "directory":
                return os.stat_result((stat.S_IFDIR | 0o777, 0, 0, 1, 0, 0, 0, 0, 0, 0), {"st_mtime_ns": 0})
            changed = info.get("LastModified") or files.modified(str(self))
        seconds, content = int(changed.timestamp()), zlib.crc32(_tag_in(info).encode())
        state = (stat.S_IFREG | 0o666, 0, 0, 1, 0, 0, int(info["size"]), seconds, seconds, seconds)
        return os.stat_result(state, {"st_mtime_ns": seconds * 10**9 + content % 10**9})

    lstat = stat  # a store has no links

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether there is such a file, or anything in such a folder."""
        return self._kind() is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether it is a file."""
        return self._kind() == "file"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether anything is in it."""
        return self._kind() == "directory"

    def _kind(self) -> str | None:
        with suppress(FileNotFoundError):
            return "directory" if stat.S_ISDIR(self.stat().st_mode) else "file"
        return None

    def samefile(self, other_path: str | os.PathLike[str]) -> bool:
        """Whether the other is the same address."""
        return str(self) == os.fspath(other_path)

    def is_absolute(self) -> bool:
        """It is."""
        return True

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:  # noqa: ARG002  # as `Path` has it
        """Itself."""
        return self

    def iterdir(self) -> Iterator[Self]:
        """What is in the folder, in order of names."""
        with self._asked() as files:
            names = sorted(files.ls(str(self), detail=False))
        prefix = f"{self.protocol}://"
        return iter([type(self)(f"{prefix}{name}") for name in names if f"{prefix}{name}".rstrip("/") != str(self)])

    def files(self, pattern: str = "") -> list[Self]:
        """All files under it, at any depth; or those that a pattern such as "*.mp4" names, and in folders of that."""
        with self._asked() as files:
            found = files.glob(f"{self}/{pattern}", detail=True) if pattern else files.find(str(self), detail=True)
            names = {name for name, one in found.items() if one["type"] != "directory"}
            for name in found.keys() - names:
                names.update(files.find(f"{self.protocol}://{name}"))
        return [type(self)(f"{self.protocol}://{name}") for name in sorted(names) if not name.endswith("/")]

    def num_bytes(self) -> int:
        """Of all files under it."""
        with self._asked() as files:
            return int(files.du(str(self)))

    def read_bytes(self) -> bytes:
        """The content of a file."""
        with self._asked() as files:
            return bytes(files.cat_file(str(self)))

    def write_bytes(self, data: Any) -> int:  # noqa: ANN401  # as `Path` has it
        """Makes or replaces a file, atomically."""
        with self._asked() as files:
            files.pipe_file(str(self), bytes(data))
        return len(data)

    def tag(self) -> str:
        """Changes whenever the file's content does; empty where the store states none that it could compare."""
        with self._asked() as files:
            return re.sub("^W/.*", "", _tag_in(files.info(str(self))))

    def create(self, content: bytes) -> bool:
        """Makes a file unless there is one, atomically; whether it was made."""
        return self._put(content, mode="create")

    def write_if(self, tag: str, content: bytes) -> bool:
        """Replaces a file; in S3 only if it still has that tag, atomically. Whether it was replaced."""
        return self._put(content, **{"IfMatch": tag} if tag and self.protocol == "s3" else {})

    def _put(self, content: bytes, **condition: str) -> bool:
        with self._asked() as files:
            try:
                files.pipe_file(str(self), content, **condition)
            except FileExistsError:
                return False
            except OSError as error:
                code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
                if code in ("NotImplemented", "501") and "IfMatch" in condition:
                    return self._put(content)
                if code not in _CONFLICTS:
                    raise
                return False
        return True

    def download(self, to: Path) -> None:
        """Copies a file to this machine."""
        with self._asked() as files:
            files.get_file(str(self), str(to))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a folder is there once something is in it."""

    def rmdir(self) -> None:
        """Nothing, likewise."""

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: ARG002  # as `Path` has it
        """Removes a file; a store does not say whether there was one."""
        with self._asked() as files, suppress(FileNotFoundError):
            files.rm_file(str(self))

    def remove_all(self) -> None:
        """Removes the folder and all that is in it."""
        with self._asked() as files:
            for name in files.find(str(self)):  # one by one, as they are: `rm` takes "[1]" for a pattern
                files.rm_file(name)

    def replace(self, target: Any) -> Any:  # noqa: ANN401  # as `Path` has it
        """Copies it over the target, then removes it."""
        with self._asked() as files:
            files.cp_file(str(self), str(target))
            files.rm_file(str(self))
        return type(self)(target)

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """The store; what goes wrong within is an OSError with a reason."""
        try:
            yield _files(self.protocol)
        except FirstsightError:
            raise
        except Exception as error:  # clients of stores raise what they like
            reason = (str(error) or type(error).__name__).splitlines()[0]
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error
            kind = RefusedError if isinstance(error, PermissionError) else StoreError
            raise kind(errno.EIO, reason, str(self)) from error


def _tag_in(info: Mapping[str, Any]) -> str:
    return str(info.get("ETag") or info.get("etag") or "")  # as the client of each store names it


class StoreError(FirstsightError, OSError):
    """An object store refuses, or does not answer."""

    def __str__(self) -> str:
        return f"{self.filename} cannot be reached ({self.strerror}); check address, credentials and network"


class RefusedError(StoreError, PermissionError):
    """Not with these credentials."""


@cache
def _files(protocol: str) -> Any:  # noqa: ANN401  # a file system of fsspec
    import fsspec

    options: dict[str, Any] = {}
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")  # s3fs reads the first alone
    if protocol == "s3" and region:
        options["client_kwargs"] = {"region_name": region}
    try:  # without caches, as what others write is to be seen
        return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        package = _PACKAGES[protocol]
        raise SettingsError(f"{protocol}:// needs the package {package}: `pip install {package}`") from error


def is_object(text: str) -> bool:
    """Whether the text is the address of a file or folder of an object store."""
    return _ADDRESS.match(text) is not None


def to_path(path: str | os.PathLike[str]) -> Path:
    """The path, of an object store if it is an address in one."""
    text = os.fspath(path)
    return ObjectPath(text) if is_object(text) else Path(text)


def to_absolute(path: str | os.PathLike[str]) -> Path:
    """The same, absolute; a link stays a name of its own."""
    found = to_path(path)
    return found if isinstance(found, ObjectPath) else Path(os.path.abspath(found))  # noqa: PTH100


def storage_options(folder: Path) -> dict[str, str]:
    """What LanceDB needs to be told of the store of a folder."""
    is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:")
    return {"allow_http": "true"} if isinstance(folder, ObjectPath) and is_plain else {}


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; False also without permission, or if a store does not answer."""
    try:
        return path.exists()
    except OSError:
        return False


class _Copies:
    """Files of stores, copied to this machine for as long as the process runs; the least recently used go first."""

    def __init__(self) -> None:
        import tempfile  # this and `hashlib` are not loaded for paths alone, which every command has

        for left in Path(tempfile.gettempdir()).glob(f"{_COPIES}*"):
            if (held := _held(left)) is not None:  # its process was killed
                shutil.rmtree(left, ignore_errors=True)
                held.close()
        while True:  # another process may find it, and remove it, before it is held
            self._folder = Path(tempfile.mkdtemp(prefix=_COPIES))
            self._held = _held(self._folder)
            if not _HAS_LOCKS or (self._held is not None and self._folder.exists()):
                break
        self._lock = threading.Lock()  # of what follows
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._copying: dict[Path, threading.Lock] = {}

    def remove(self) -> None:
        """Removes them all."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._held is not None:
            self._held.close()

    def of(self, path: ObjectPath) -> Path:
        """The copy of a file as it is now."""
        import hashlib

        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        version = f"{path} {state.st_size} {state.st_mtime_ns}".encode("utf-8", "surrogateescape")
        suffix = path.suffix if _PLAIN_SUFFIX.fullmatch(path.suffix) else ""
        copy = self._folder / f"{hashlib.blake2b(version, digest_size=16).hexdigest()}{suffix}"
        with self._lock:
            copying = self._copying.setdefault(copy, threading.Lock())
        with copying:
            if copy not in self._sizes:
                self._make_room(path, state.st_size)
                self._copy(path, state, copy)
            with self._lock:
                self._sizes[copy] = state.st_size
                self._sizes.move_to_end(copy)
        return copy

    def _copy(self, path: ObjectPath, state: os.stat_result, copy: Path) -> None:
        try:
            path.download(copy)
            _check_version(path, state, copy)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise

    def _make_room(self, path: ObjectPath, num_bytes: int) -> None:
        with self._lock:
            free, held = shutil.disk_usage(self._folder).free, sum(self._sizes.values())
            if num_bytes > free + held:
                reason = f"{num_bytes / 1e9:.1f} GB do not fit on the disk, in {self._folder}"
                raise StoreError(errno.ENOSPC, reason, str(path))
            most = min(_MAX_COPIED_BYTES, _SHARE_OF_DISK * (free + held))
            # The latest may be about to be opened.
            while self._sizes and (num_bytes > free or (held + num_bytes > most and len(self._sizes) > _MIN_COPIES)):
                oldest, size = self._sizes.popitem(last=False)
                oldest.unlink(missing_ok=True)  # what is open stays readable
                held, free = held - size, free + size


def _check_version(path: ObjectPath, before: os.stat_result, copy: Path) -> None:
    """Raises a StoreError if the object is another one now; large ones are read in several requests."""
    now = path.stat()
    if (now.st_size, now.st_mtime_ns, now.st_size) != (before.st_size, before.st_mtime_ns, copy.stat().st_size):
        raise StoreError(errno.EIO, "it was replaced while it was read", str(path))


def _held(folder: Path) -> BinaryIO | None:
    """A file that holds the folder for this process; None if another holds it, or where that is unknown."""
    if not _HAS_LOCKS:
        return None
    import fcntl

    with suppress(OSError), ExitStack() as opened:
        file = opened.enter_context((folder / ".held").open("wb"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opened.pop_all()
        return file
    return None


_MAKING = threading.Lock()


@cache
def _made_copies() -> _Copies:
    copies = _Copies()
    atexit.register(copies.remove)
    return copies


def _copies() -> _Copies:
    with _MAKING:
        return _made_copies()


def remove_copies() -> None:
    """Removes what was copied to this machine, for a process that ends without the functions of `atexit`."""
    if _made_copies.cache_info().currsize:
        _made_copies().remove()


def local(path: Path) -> Path:
    """The path of a file on this machine: itself, or a copy of the object, which may go once others are asked for.

    Raises:
        OSError: there is no such object, it cannot be read, or does not fit on the disk.
    """
    return _copies().of(path) if isinstance(path, ObjectPath) else path
