"""Paths that were mistyped are told at once, before anything is loaded that takes seconds. Each gives back its path."""

from pathlib import Path
from typing import TypeVar

from firstsight.errors import LibraryError, RunError
from firstsight.text import printable

MaybePath = TypeVar("MaybePath", Path, Path | None)


def check_run(run: MaybePath) -> MaybePath:
    """Raises a RunError if there is neither a run nor a weights file. None is no path."""
    if run is None:
        return run
    if not run.exists():
        raise RunError(
            f"no run at {printable(run)}; give a folder made by `firstsight learn`, or an article weights file (.pth)"
        )
    if (run / "library.json").is_file() and (run / "model").is_dir():
        raise RunError(f"{printable(run)} is a library; its encoder is in {printable(run / 'model')}: give that")
    return run


def check_library(folder: Path) -> Path:
    """Raises a LibraryError if there is nothing."""
    if not folder.exists():
        raise LibraryError(f"there is no library at {printable(folder)}; give a folder made by `firstsight index`")
    return folder


def check_sources(sources: list[str]) -> list[str]:
    """Raises a SourceError if there is no such footage; what is piped in or comes from a camera is not looked at."""
    from firstsight.video.finding import find_files
    from firstsight.video.live import place_of

    spec = sources[0] if len(sources) == 1 else sources
    if place_of(spec) is None:
        find_files(spec)
    return sources
