"""Files of an object store, such as Amazon S3 and what speaks its protocol: paths whose use is a request.

An address, s3://bucket/folder/name, is an `ObjectPath`; what reads and writes by the methods of `pathlib.Path` serves
both. Requests are those of fsspec, whose package for the store is an extra: `pip install firstsight[s3]`. Credentials,
region and address of the service are those of the environment, as other programs take them: AWS_ACCESS_KEY_ID,
AWS_REGION, AWS_ENDPOINT_URL.

A store has no folders, only names with slashes in them, so a folder is there as long as something is in it. It has no
locks either; `leased` makes one of an object that is written again and again.
"""

import atexit
import errno
import logging
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from firstsight.errors import FirstsightError, SettingsError

# fsspec's name of each protocol, and the package that speaks it.
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
# `Path` makes one slash of two.
_ADDRESS = re.compile(rf"({'|'.join(_PACKAGES)}):/{{1,2}}(?=[^/])")
_BEAT_SECONDS, _LEASE_SECONDS, _LOOK_SECONDS = 5.0, 30.0, 1.0
_MAX_COPIED_BYTES = 20e9
_SHARE_OF_DISK = 0.5  # of what is free, for copies
_COPIES = "firstsight-copies-"

_LOG = logging.getLogger(__name__)


class ObjectPath(type(Path())):  # type: ignore[misc]  # the system's own kind of path
    """A file or a folder of an object store. Its text is the address.

    All methods that ask the store raise an OSError, in words, where it refuses or does not answer; `FileNotFoundError`
    and `PermissionError` are of this kind.
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

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002  # as `Path` has it
        """Size, kind and time. Times end with a number of the content, as a store's are of whole seconds."""
        with self._asked() as files:
            info = files.info(str(self))
            if info["type"] == "directory":
                return os.stat_result((stat.S_IFDIR | 0o777, 0, 0, 1, 0, 0, 0, 0, 0, 0), {"st_mtime_ns": 0})
            seconds = int(files.modified(str(self)).timestamp())
        content = zlib.crc32(str(info.get("ETag") or info.get("etag") or "").encode())
        state = (stat.S_IFREG | 0o666, 0, 0, 1, 0, 0, int(info["size"]), seconds, seconds, seconds)
        return os.stat_result(state, {"st_mtime_ns": seconds * 10**9 + content % 10**9})

    def lstat(self) -> os.stat_result:
        """The same: a store has no links."""
        return self.stat()

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
        try:
            mode = self.stat().st_mode
        except FileNotFoundError:
            return None
        return "directory" if stat.S_ISDIR(mode) else "file"

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
        """All files under it, at any depth, or those that a pattern such as "*.mp4" names."""
        with self._asked() as files:
            names = files.glob(f"{self}/{pattern}") if pattern else files.find(str(self))
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

    def create(self, content: bytes) -> bool:
        """Makes a file unless there is one, atomically; whether it was made."""
        with self._asked() as files:
            try:
                files.pipe_file(str(self), content, mode="create")
            except FileExistsError:
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
        with self._asked() as files, suppress(FileNotFoundError):
            files.rm(str(self), recursive=True)

    def replace(self, target: Any) -> Any:  # noqa: ANN401  # as `Path` has it
        """Copies it over the target, then removes it."""
        with self._asked() as files:
            files.cp_file(str(self), str(target))
            files.rm_file(str(self))
        return type(self)(target)

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """The store; what goes wrong within is an OSError with a reason."""
        files = _files(self.protocol)
        try:
            yield files
        except (FirstsightError, FileNotFoundError, PermissionError, FileExistsError):
            raise
        except Exception as error:  # clients of stores raise what they like
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise OSError(errno.EIO, reason, str(self)) from error


@cache
def _files(protocol: str) -> Any:  # noqa: ANN401  # a file system of fsspec
    import fsspec

    try:  # without caches, as what others write is to be seen
        return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True)
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
        for folder in Path(tempfile.gettempdir()).glob(f"{_COPIES}*"):
            if not _is_running(folder.name.removeprefix(_COPIES).partition("-")[0]):  # it was killed
                shutil.rmtree(folder, ignore_errors=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_COPIES}{os.getpid()}-"))
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Path, int] = OrderedDict()

    def remove(self) -> None:
        """Removes them all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def of(self, path: ObjectPath) -> Path:
        """The copy of a file as it is now."""
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        version = f"{path} {state.st_size} {state.st_mtime_ns}"
        copy = Path(self._folder, f"{zlib.crc32(version.encode()):08x}-{len(version)}-{path.name}"[-200:])
        with self._lock:
            if copy not in self._sizes:
                self._make_room(state.st_size)
                path.download(copy)
                if copy.stat().st_size != state.st_size:
                    copy.unlink()
                    raise OSError(errno.EIO, "it ends early, or is being written", str(path))
                self._sizes[copy] = state.st_size
            self._sizes.move_to_end(copy)
        return copy

    def _make_room(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free
        held = sum(self._sizes.values())
        if num_bytes > free + held:
            raise OSError(errno.ENOSPC, f"{num_bytes / 1e9:.1f} GB do not fit on the disk, in {self._folder}")
        most = min(_MAX_COPIED_BYTES, _SHARE_OF_DISK * (free + held))
        while self._sizes and held + num_bytes > most:
            oldest, size = self._sizes.popitem(last=False)
            oldest.unlink(missing_ok=True)  # what is open stays readable
            held -= size


def _is_running(process: str) -> bool:
    if os.name != "posix" or not process.isdecimal():
        return True  # unknown
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@cache
def _copies() -> _Copies:
    copies = _Copies()
    atexit.register(copies.remove)
    return copies


def remove_copies() -> None:
    """Removes what was copied to this machine, for a process that ends without the functions of `atexit`."""
    if _copies.cache_info().currsize:
        _copies().remove()


def local(path: Path) -> Path:
    """The path of a file on this machine: itself, or a copy of the object, which may go once others are asked for.

    Raises:
        OSError: there is no such object, it cannot be read, or does not fit on the disk.
    """
    return _copies().of(path) if isinstance(path, ObjectPath) else path


class LeaseHeldError(Exception):
    """Somebody else holds a lease, or has taken it over."""


@contextmanager
def leased(path: ObjectPath, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Within it no other process leases that object, whose content is written again every five seconds.

    That of a killed process is taken over once it has not been written for 30 s, by the clock of who waits.

    Args:
        path: the object.
        wait_seconds: for another process that holds it, and is alive.

    Raises:
        LeaseHeldError: another holds it; or, at the end, another has taken it over, because this machine could not
            reach the store for so long.
        OSError: the store refuses, or does not answer.
    """
    owner = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    _take(path, owner, wait_seconds)
    ends, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_renew, args=(path, owner, ends, lost), name="firstsight-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
        with suppress(OSError):
            if _owner_of(path.read_bytes()) == owner:
                path.unlink(missing_ok=True)
    if lost.is_set():
        raise LeaseHeldError(str(path))


def _take(path: ObjectPath, owner: str, wait_seconds: float) -> None:
    """Becomes the owner, or raises."""
    before, is_taken_over = None, False
    begun = since = time.monotonic()
    while not path.create(_beat(owner, 0)):
        now = _content(path)
        if now is not None and now == before and time.monotonic() - since >= _LEASE_SECONDS:
            path.unlink(missing_ok=True)  # of a process that was killed
            time.sleep(secrets.randbelow(1_000) / 1_000)  # others may have waited as long
            is_taken_over = True
            continue
        if now is not None and now != before:
            if before is not None and time.monotonic() - begun >= wait_seconds:
                raise LeaseHeldError(str(path))
            if not wait_seconds:
                _LOG.warning("%s is held: looking for up to %g s whether its owner is alive", path, _LEASE_SECONDS)
            before, since = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)
    if is_taken_over:
        time.sleep(2 * _LOOK_SECONDS)
        if _owner_of(_content(path) or b"") != owner:  # another has removed it, as if it were that of the killed one
            raise LeaseHeldError(str(path))


def _renew(path: ObjectPath, owner: str, ends: threading.Event, lost: threading.Event) -> None:
    number = 0
    while not ends.wait(_BEAT_SECONDS):
        with suppress(OSError):  # the next time may go better
            if _owner_of(path.read_bytes()) != owner:
                lost.set()
                return
            number += 1
            path.write_bytes(_beat(owner, number))


def _content(path: ObjectPath) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _beat(owner: str, number: int) -> bytes:
    return f"{owner} {number}".encode()


def _owner_of(content: bytes) -> str:
    return content.decode(errors="replace").rpartition(" ")[0]
