"""`firstsight watch`: tells what happens before a camera while it happens."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import notes
from firstsight.cli.watch_output import ClosedError, outlets
from firstsight.errors import SettingsError

if TYPE_CHECKING:
    from firstsight.cli.watch_output import Outlets
    from firstsight.retrieval.watching.watch import Watcher
    from firstsight.video.stream import Stream

_INTERRUPTED = "interrupted: "
_CLOSED = "nobody reads the events any more: "


def command(
    run: footage.Run,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="An address: rtsp://..., a camera: 0, - for a pipe, or a video.")
    ],
    anchors: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="ANCHOR", help="A picture, or a frame: hall.mp4@12.5; may be repeated."),
    ] = None,
    novel: Annotated[bool, typer.Option("--novel", help="Tell what the camera has not shown before.")] = False,
    match_from: Annotated[
        float | None,
        typer.Option(metavar="X", help="Closeness of a match: 0 is as usual, 1 the anchor; 0.5 by default."),
    ] = None,
    novel_from: Annotated[
        float | None, typer.Option(metavar="X", help="New is so many times the usual deviation; 8 by default.")
    ] = None,
    frames_per_second: footage.FramesPerSecond = 2.0,
    speed: Annotated[
        float, typer.Option(metavar="X", help="Of a video: 2 plays it twice as fast, 0 as fast as can be.")
    ] = 1.0,
    events_file: Annotated[
        Path | None, typer.Option("--events", metavar="JSONL", help="Append the events to a file, a line each.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Post each event there as JSON.")] = None,
    program: Annotated[
        str | None, typer.Option("--run", metavar="COMMAND", help="Run this for each event, which it reads from stdin.")
    ] = None,
    snapshots: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the frame of each event as JPEG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON an event.")] = False,
) -> None:
    """Watch a camera that stands still: tell when an anchor is to be seen, when something is new, when the stream is
    lost and when it is back.

    What is usual is learned from the first five seconds, and followed from then on. Ctrl-C ends it.

    Example: `firstsight watch runs/hall rtsp://camera/1 --for hall.mp4@12.5 --novel --events hall.jsonl`
    """
    from firstsight.model.encoder import Encoder
    from firstsight.retrieval.searching.query import WholePicture, read_query
    from firstsight.retrieval.watching.watch import Watcher
    from firstsight.video.stream import Stream

    if not anchors and not novel:
        raise SettingsError("nothing to watch for; give --for ANCHOR, or --novel, or both")
    encoder, console = Encoder.load(run), notes()
    queries = [read_query(text, encoder) for text in anchors or []]
    views = (encoder.preprocessing, WholePicture()) if snapshots else (encoder.preprocessing,)
    with (
        _ended_by_the_system(),
        outlets(
            events_file=events_file,
            webhook=webhook,
            program=program,
            snapshots=snapshots,
            as_json=as_json,
            console=console,
        ) as told,
        Stream(source, views=views, frames_per_second=frames_per_second, speed=speed) as stream,
    ):
        watcher = Watcher(
            encoder, stream.name, anchors=queries, novel=novel, match_from=match_from, novel_from=novel_from
        )
        console.print(f"watching {stream.name}; Ctrl-C ends it", markup=False)
        ended = _watched(watcher, stream, told)
        console.print(ended + _summary(watcher, stream, told.num_events, events_file), markup=False)
    if ended == _INTERRUPTED:
        raise typer.Exit(130)


def _watched(watcher: "Watcher", stream: "Stream", outlets: "Outlets") -> str:
    """Tells until the end; what ended it before the stream did."""
    from firstsight.retrieval.watching.watch import watch

    try:
        for told in watch(watcher, stream):
            outlets.tell(told)
    except ClosedError:
        return _CLOSED
    except KeyboardInterrupt:
        with suppress(ClosedError):
            for told in watcher.finish():
                outlets.tell(told)
        return _INTERRUPTED
    return ""


@contextmanager
def _ended_by_the_system() -> Iterator[None]:
    """What ends a service, SIGTERM, does as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(watcher: "Watcher", stream: "Stream", num_events: int, events_file: Path | None) -> str:
    dropped = f", {stream.num_dropped} left out to keep up" if stream.num_dropped else ""
    skipped = f", {stream.num_skipped} could not be decoded" if stream.num_skipped else ""
    kept = f", kept in {events_file}" if events_file else ""
    return f"{watcher.num_frames} frames seen{dropped}{skipped}; {num_events} events{kept}"
