"""`firstsight watch`: tells what happens before a camera while it happens."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import notes
from firstsight.errors import RunError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from firstsight.export.sending import Sender
    from firstsight.retrieval.watch import Told, Watcher
    from firstsight.video.stream import Stream


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
    from firstsight.retrieval.query import WholePicture, read_query
    from firstsight.retrieval.watch import Watcher, watch
    from firstsight.video.stream import Stream

    if not anchors and not novel:
        raise SettingsError("nothing to watch for; give --for ANCHOR, or --novel, or both")
    encoder, console = Encoder.load(run), notes()
    queries = [read_query(text, encoder) for text in anchors or []]
    views = (encoder.preprocessing, WholePicture()) if snapshots else (encoder.preprocessing,)
    num_events = 0
    with ExitStack() as opened:
        log = opened.enter_context(_appending(events_file)) if events_file else None
        senders = _senders(webhook, program)
        for sender in senders:
            opened.callback(_say_farewell, sender, console)
        stream = opened.enter_context(Stream(source, views=views, frames_per_second=frames_per_second, speed=speed))
        watcher = Watcher(
            encoder, stream.name, anchors=queries, novel=novel, match_from=match_from, novel_from=novel_from
        )
        console.print(f"watching {stream.name}; Ctrl-C ends it", markup=False)
        interrupted = False
        try:
            for told in watch(watcher, stream):
                num_events += 1
                _tell(told, num_events, log, senders, snapshots, as_json=as_json)
        except KeyboardInterrupt:
            interrupted = True
            for told in watcher.finish():
                num_events += 1
                _tell(told, num_events, log, senders, snapshots, as_json=as_json)
        console.print(_summary(watcher, stream, num_events, events_file, interrupted=interrupted), markup=False)
    if interrupted:
        raise typer.Exit(130)


def _tell(
    told: "Told", number: int, log: TextIO | None, senders: "list[Sender]", snapshots: Path | None, *, as_json: bool
) -> None:
    event = told.event
    if snapshots and told.frame:
        event = replace(event, snapshot=str(_save(told, number, snapshots)))
    line = json.dumps(event.record())
    typer.echo(line if as_json else event.words())
    if log:
        log.write(line + "\n")
        log.flush()
    for sender in senders:
        sender.send(line.encode())


def _save(told: "Told", number: int, folder: Path) -> Path:
    """The frame as JPEG: its name tells when, which and what."""
    import io

    from PIL import Image

    from firstsight.files import write_whole

    assert told.frame is not None
    when = told.event.time.replace(":", "").replace("+0000", "Z")
    path = folder / f"{when}-{number:05d}-{told.event.kind.replace(' ', '-')}.jpg"
    content = io.BytesIO()
    Image.fromarray(told.frame.pictures[1]).save(content, "JPEG", quality=90)
    write_whole(path, content.getvalue())
    return path


@contextmanager
def _appending(path: Path) -> Iterator[TextIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; choose another file") from error
    with file:
        yield file


def _senders(webhook: str | None, program: str | None) -> "list[Sender]":
    from firstsight.export.sending import to_command, to_webhook

    senders = [to_command(program)] if program is not None else []
    return [to_webhook(webhook), *senders] if webhook is not None else senders


def _say_farewell(sender: "Sender", console: "Console") -> None:
    sender.close()
    failed = f"; {sender.num_failed} failed, the last as {sender.last_error}" if sender.num_failed else ""
    console.print(f"{sender.name}: {sender.num_sent} events delivered{failed}", markup=False)


def _summary(
    watcher: "Watcher", stream: "Stream", num_events: int, events_file: Path | None, *, interrupted: bool
) -> str:
    begun = "interrupted: " if interrupted else ""
    dropped = f", {stream.num_dropped} left out to keep up" if stream.num_dropped else ""
    skipped = f", {stream.num_skipped} could not be decoded" if stream.num_skipped else ""
    kept = f", kept in {events_file}" if events_file else ""
    return f"{begun}{watcher.num_frames} frames seen{dropped}{skipped}; {num_events} events{kept}"
