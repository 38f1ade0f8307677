"""Paths that were mistyped are told at once, before anything is loaded that takes seconds."""

from pathlib import Path

from firstsight.errors import RunError


def check_run(run: Path) -> None:
    """Raises a RunError if there is neither a run nor a weights file."""
    if not run.exists():
        raise RunError(f"no run at {run}; give a folder made by `firstsight learn`, or an article weights file (.pth)")
    if (run / "library.json").is_file():
        raise RunError(f"{run} is a library; the run that its encoder comes from is {run / 'model'}")


def check_sources(sources: list[str]) -> None:
    """Raises a SourceError if there is no such footage; what is piped in or comes from a camera is not looked at."""
    from firstsight.video.finding import find_files
    from firstsight.video.live import place_of

    spec = sources[0] if len(sources) == 1 else sources
    if place_of(spec) is None:
        find_files(spec)
