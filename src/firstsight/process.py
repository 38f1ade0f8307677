"""Settings of the process: it keeps freed memory, and idle threads sleep. Does not load PyTorch."""

import ctypes
import os
import platform
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]  # of arithmetic

# glibc's mallopt options, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
# By these a user decides how threads wait; then nothing is changed.
_WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_MEMORY_MAPS = Path("/proc/self/maps")


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next allocation. Does nothing under another C library.

    By default it returns every large activation to the kernel after each operation, and page faults to get it back
    cost time. As this changes the entire process, only the command line calls it. Memory stays flat, at its peak.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, -1)


def defer_import(name: str) -> None:
    """Makes a package run its own code when something of it is first asked for, not when it is imported.

    Its modules can be imported without that. Does nothing if it is imported already, or not installed.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    module, loader = module_from_spec(spec), spec.loader

    def load(attribute: str) -> object:
        if attribute.startswith("__"):  # asked for by the import system and by inspection
            raise AttributeError(attribute)
        del module.__dict__["__getattr__"]
        loader.exec_module(module)
        return getattr(module, attribute)

    module.__dict__["__getattr__"] = load
    sys.modules[name] = module


@contextmanager
def passive_waiting() -> Iterator[None]:
    """Within it PyTorch's idle threads sleep at once instead of spinning for milliseconds. Results do not change.

    On a busy machine a thread that spins keeps the one it waits for off its core: learning then takes ten times as
    long, and so does what else runs there. GNU OpenMP reads how long to spin when it is loaded, and never again; but as
    documented it does not spin while it manages more threads than there are cores. So a team of that many threads is
    kept asleep meanwhile. May be nested, and entered by several threads.

    Does nothing with another OpenMP, with a single thread, or if OMP_WAIT_POLICY or GOMP_SPINCOUNT is set.

    Source: the manual of libgomp, GOMP_SPINCOUNT; `do_spin` in config/linux/wait.h.
    """
    _SLEEPERS.enter()
    try:
        yield
    finally:
        _SLEEPERS.leave()


def describe_waiting() -> str:
    """How idle threads wait now, for the record of a run: "passive", the variables of the environment, or "default"."""
    given = [f"{name}={os.environ[name]}" for name in _WAIT_VARIABLES if name in os.environ]
    return ", ".join(given) or ("passive" if _SLEEPERS.are_there else "default")


class _Sleepers:
    """A team of OpenMP threads that sleeps while at least one block is active."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._wake: threading.Event | None = None

    @property
    def are_there(self) -> bool:
        return self._wake is not None

    def enter(self) -> None:
        with self._lock:
            self._num_inside += 1
            if self._wake is None and (teams := _openmp_in_use()):
                self._wake = _put_to_sleep(teams)

    def leave(self) -> None:
        with self._lock:
            self._num_inside -= 1
            if not self._num_inside and self._wake is not None:
                self._wake.set()
                self._wake = None


_SLEEPERS = _Sleepers()


def _openmp_in_use() -> tuple[ctypes.CDLL, ...]:
    """The copies of GNU OpenMP whose threads may spin; none if nothing is to be changed."""
    torch = sys.modules.get("torch")
    if torch is None or torch.get_num_threads() < 2 or any(name in os.environ for name in _WAIT_VARIABLES):
        return ()
    return _gnu_openmp()


@cache  # it stays loaded once PyTorch is
def _gnu_openmp() -> tuple[ctypes.CDLL, ...]:
    """Every copy in this process: each wheel may bring its own."""
    try:
        files = re.findall(r"(/.*/libgomp[^/\n]*)$", _MEMORY_MAPS.read_text(), re.MULTILINE)
        libraries = tuple(ctypes.CDLL(file) for file in dict.fromkeys(files))
        for library in libraries:
            library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            library.GOMP_parallel.restype = None
    except (OSError, AttributeError):
        return ()
    return libraries


def _put_to_sleep(libraries: tuple[ctypes.CDLL, ...]) -> threading.Event:
    """Makes a thread with a team of its own in each library, one more than there are cores; the event ends it."""
    made, wake = threading.Event(), threading.Event()

    def sleep() -> None:
        for library in libraries:
            nothing = ctypes.cast(library.omp_get_num_threads, ctypes.c_void_p)  # anything that a team may call
            library.GOMP_parallel(nothing, None, library.omp_get_num_procs() + 1, 0)
        made.set()
        wake.wait()

    threading.Thread(target=sleep, name="firstsight-passive-waiting", daemon=True).start()
    made.wait()
    return wake
