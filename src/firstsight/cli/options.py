"""The options that choose footage, the same for every command."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from firstsight.errors import MAX_SEED, LibraryError, RunError, SettingsError, SourceError, check_seed
from firstsight.object_store import is_there, to_path
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.footage.source import Source


class WithoutEmptyValues(TyperCommand):
    """A command that refuses an empty path or text, as in `--out ""`, which would be the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # typer keeps the type to itself
        """Reads the arguments.

        Raises:
            SettingsError: one is empty.
        """
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in () if ctx.resilient_parsing else given:
            value = values.get(parameter.name)
            if value == "" or (isinstance(value, list | tuple) and "" in value):
                is_option = parameter.param_type_name == "option"
                name = parameter.opts[0] if is_option else (parameter.metavar or parameter.name).strip("[.]")
                raise SettingsError(f"{name} is empty; give a value{', or leave it out' if is_option else ''}")
        return super().parse_args(ctx, args)


def checked(check: Callable[[Any], Any], *flags: str, metavar: str, text: str) -> Any:  # noqa: ANN401  # typer's own type
    """An argument, or an option with those flags, that is checked before a command begins and loads what takes long."""
    if flags:
        return typer.Option(*flags, metavar=metavar, help=text, callback=check, is_eager=True)
    return typer.Argument(metavar=metavar, help=text, callback=check, is_eager=True)


MaybePath = TypeVar("MaybePath", Path, Path | None)


def check_run(run: MaybePath) -> MaybePath:
    """Raises a RunError if there is neither a run nor a weights file; None is not checked."""
    if run is None:
        return run
    from firstsight.encoder.run_config import check_no_library

    run = to_path(run)
    if not run.exists():
        raise RunError(
            f"no run at {printable(run)}; give a folder made by `firstsight learn`, or an article weights file (.pth)"
        )
    check_no_library(run)
    if run.suffix.lower() != ".pth" and run.is_file():
        _check_no_footage(run)
    return run


def _check_no_footage(run: Path) -> None:
    """Raises a RunError for a video or a picture."""
    from firstsight.footage.finding import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    if run.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        raise RunError(f"{printable(run)} is footage, where a run is expected, a folder made by `firstsight learn`")


def check_library(folder: Path) -> Path:
    """Raises a LibraryError if there is no such folder."""
    folder = to_path(folder)
    if not folder.exists():
        raise LibraryError(f"there is no library at {printable(folder)}; give a folder made by `firstsight index`")
    return folder


MaybeSources = TypeVar("MaybeSources", list[str], list[str] | None)


def check_sources(sources: MaybeSources) -> MaybeSources:
    """Raises a SourceError if there is no such footage; a pipe, a camera or an address is not checked."""
    from firstsight.footage.finding import find_files, is_live

    if not sources:
        return sources
    spec = sources[0] if len(sources) == 1 else sources
    if isinstance(spec, str) and is_live(spec):
        return sources
    try:
        find_files(spec)
    except SourceError:
        if (to_path(sources[0]) / "model.safetensors").is_file():
            raise SourceError(f"{printable(sources[0])} is a run, where footage is expected") from None
        raise
    return sources


def check_source(source: str) -> str:
    """Raises a SourceError if there is no such footage, as `check_sources`."""
    check_sources([source])
    return source


def check_target(target: str) -> str:
    """Raises a SourceError if there is neither a library nor footage."""
    return target if (to_path(target) / "library.json").is_file() else check_source(target)


def check_query(text: str) -> str:
    """Raises a SourceError or SettingsError if there is no such picture, or frame of a video."""
    from firstsight.footage.reference import parse_reference

    parse_reference(text)
    return text


MaybeAnchors = TypeVar("MaybeAnchors", list[str], list[str] | None)


def check_anchors(anchors: MaybeAnchors) -> MaybeAnchors:
    """Raises as `check_query` for one of them; a folder is not checked further."""
    for anchor in anchors or []:
        if not to_path(anchor).is_dir():
            check_query(anchor)
    return anchors


def check_pictures(pictures: list[Path]) -> list[Path]:
    """Raises a SourceError if one does not exist."""
    check_sources([str(picture) for picture in pictures])
    return pictures


def check_any_source(sources: list[str] | None) -> list[str] | None:
    """Raises a SourceError if none of the footage exists; where some does, indexing reports the rest."""
    from firstsight.footage.finding import find_all, is_live

    if sources and not any(is_live(source) or is_there(to_path(source)) for source in sources):
        for source in sources:
            find_all(source)
    return sources


_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h)?")
_UNIT_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}

_SOURCES_HELP = (
    "A video, several, a folder of videos or pictures, a quoted glob, - for a video piped in, a camera: 0, or an "
    "address: rtsp://..."
)
# Paths are checked before other options, and before a command begins: a mistyped one is refused at once, and does not
# cost the seconds in which PyTorch is loaded.
SOURCES = typer.Argument(
    metavar="SOURCE...", help=_SOURCES_HELP, show_default=False, callback=check_sources, is_eager=True
)
Sources = Annotated[list[str], SOURCES]
AnySources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE...", help=_SOURCES_HELP, show_default=False, callback=check_any_source, is_eager=True
    ),
]
Start = Annotated[float | None, typer.Option("--start", metavar="SECONDS", help="Skip what comes before.")]
End = Annotated[float | None, typer.Option("--end", metavar="SECONDS", help="Stop at this time.")]
Every = Annotated[int | None, typer.Option("--every", metavar="N", help="Use every n-th frame.")]
FramesPerSecond = Annotated[
    float | None, typer.Option("--fps", metavar="RATE", help="At most so many frames a second of footage.")
]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="TIME", help="How long to read a camera, pipe or address: 90s, 10min or 2h."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Run = Annotated[
    Path, checked(check_run, metavar="RUN", text="A folder made by learn, or an article weights file (.pth).")
]
Library = Annotated[Path, checked(check_library, metavar="LIBRARY", text="A folder made by index.")]
Model = Annotated[
    Path | None,
    checked(
        check_run,
        "--model",
        metavar="RUN",
        text="The encoder of footage that is not in a library: a folder made by learn.",
    ),
]
OnlySources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="GLOB", help="Only sources whose names match; may be repeated."),
]
BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="X,Y,W,H", help="Only this rectangle of the picture, in its pixels."),
]


def open_footage(
    sources: list[str], start: float | None, end: float | None, every: int | None, frames_per_second: float | None
) -> "Source":
    """The source that the options describe."""
    from firstsight.cli.output import Remarks, notes
    from firstsight.footage.source import open_source

    with Remarks(notes()):
        return open_source(
            sources[0] if len(sources) == 1 else sources,
            start_seconds=start,
            end_seconds=end,
            every=every,
            frames_per_second=frames_per_second,
        )


def duration_seconds(text: str, option: str = "--for") -> float:
    """The seconds of "600", "90s", "10min" or "2h". Raises a SettingsError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNIT_SECONDS[match[2] or "s"] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"{option} {text!r}; valid is a time such as 600, 90s, 10min or 2h")
    return seconds


def seconds_between(text: str | None) -> tuple[float | None, float | None] | None:
    """Start and end of "60-90", "60-" or "-90"; None is all. Raises a SettingsError for anything else."""
    if text is None:
        return None
    start, dash, end = text.partition("-")
    try:
        times = float(start or 0), float(end or "inf")
    except ValueError:
        times = (math.nan, math.nan)
    is_time = [0 <= time < math.inf for time in times]
    if not (dash and (start or end) and is_time[0] and (is_time[1] or not end)):
        raise SettingsError(f"--between {text!r}; valid are two times in seconds such as 60-90, or one: 60- or -90")
    if times[0] >= times[1]:
        raise SettingsError(f"--between {text!r}: the end is not after the start; give a later end")
    return times[0] if start else None, times[1] if end else None


def _check_between(text: str | None) -> str | None:
    """Raises a SettingsError if `seconds_between` does, before a command begins."""
    seconds_between(text)
    return text


Between = Annotated[
    str | None,
    typer.Option(
        metavar="START-END",
        help="Only between these seconds of each source, such as 60-90, 60- or -90.",
        callback=_check_between,
    ),
]


def seed_option(text: str) -> Any:  # noqa: ANN401  # typer's own type
    """The option --seed of that help; an invalid seed is refused before a command begins."""
    return typer.Option(help=f"{text} 0 to {MAX_SEED}.", callback=check_seed)
