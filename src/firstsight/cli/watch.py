"""`firstsight watch` and `novelty`: events before a still camera, live or in a recording."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.learn import learn_first
from firstsight.cli.options import check_run
from firstsight.cli.output import Display, check_out, check_out_folder, notes, print_json, say_written
from firstsight.errors import SettingsError, check_used
from firstsight.progress import Ending
from firstsight.text import counted, printable

if TYPE_CHECKING:
    from firstsight.footage.source import Source
    from firstsight.monitoring.novelty import NoveltyScores, ViewChange
    from firstsight.normality.memory import Memory


FalseAlarms = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        help="Judge by the memory alone, at that rate: 2/h, 1/day; for a run that remembers what is normal.",
    ),
]
Stays = Annotated[bool, typer.Option("--stays", help="Also report what is left in the view or taken from it.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="Go on learning what is normal, from what shows no event, into this file; begin with it if it is there.",
    ),
]


def memory_for(
    run: Path, false_alarms: str | None, *, by_deviation: bool, state: Path | None = None
) -> "Memory | None":
    """The memory to judge by, of the state's file or else of the run; None if there is none, or a deviation is given to
    judge by instead.

    Raises:
        SettingsError: no such rate, or a rate or a state and no memory.
        RunError: a file is damaged.
    """
    from firstsight.normality.memory import Memory

    if by_deviation:
        check_no_deviation({"--false-alarms": false_alarms, "--state": state})
        return None
    memory = Memory.read(state) if state is not None and state.is_file() else Memory.load(run)
    if memory is None and (false_alarms is not None or state is not None):
        given = f"--false-alarms {false_alarms}" if false_alarms is not None else f"--state {state}"
        raise SettingsError(
            f"{given}: {run} has no memory of what is normal; leave it out, or learn from this fixed camera: "
            "firstsight watch --learn 10min"
        )
    return memory


def check_no_deviation(given: dict[str, Any]) -> None:
    """Raises a SettingsError if one of those options, which ask for a memory, is given beside a deviation."""
    for name, value in given.items():
        if value is not None:
            raise SettingsError(f"{name} {value}: a deviation is given as well; leave one out")


def check_rate(false_alarms: str | None) -> None:
    """Raises a SettingsError if that is no rate of false alarms; None is not checked."""
    from firstsight.normality.rarity import rate_of

    if false_alarms is not None:
        rate_of(false_alarms)


def watch_command(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A folder made by learn, or an article weights file (.pth)."),
    ],
    source: Annotated[
        str,
        footage.checked(
            footage.check_source,
            metavar="SOURCE",
            text="An address: rtsp://..., a camera: 0, - for a pipe, or a video.",
        ),
    ],
    anchors: Annotated[
        list[str] | None,
        footage.checked(
            footage.check_anchors,
            "--for",
            metavar="ANCHOR",
            text="A picture, or a frame: hall.mp4@12.5; may be repeated.",
        ),
    ] = None,
    novel: Annotated[bool, typer.Option("--novel", help="Report what is new.")] = False,
    match_from: Annotated[
        float | None,
        typer.Option(metavar="X", help="Closeness of a match: 0 is the usual view, 1 the anchor; 0.5 by default."),
    ] = None,
    novel_from: Annotated[
        float | None, typer.Option(metavar="X", help="Deviation of what is new, in usual deviations; 8 by default.")
    ] = None,
    frames_per_second: footage.FramesPerSecond = None,
    learn: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="First learn what is normal from so much of SOURCE, 10min or 2h, unless RUN remembers it; RUN is made "
            "if it is not there. Implies --novel.",
        ),
    ] = None,
    state: State = None,
    false_alarms: FalseAlarms = None,
    stays: Stays = False,
    speed: Annotated[
        float, typer.Option(metavar="X", help="Of a video: 2 plays it twice as fast, 0 as fast as possible.")
    ] = 1.0,
    events_file: Annotated[
        Path | None, typer.Option("--events", metavar="JSONL", help="Append each event to a file, as a line.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Post each event there as JSON.")] = None,
    program: Annotated[
        str | None, typer.Option("--run", metavar="COMMAND", help="Run this for each event, given on stdin.")
    ] = None,
    snapshots: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the frame of each event as JPEG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Watch a still camera: report anchors, novelty and lost streams.

    An event begins when an anchor appears, when something is new, or when the stream is lost. The usual view is learned
    from the first five seconds, which make no event, and updated from then on; a run learned from this fixed camera
    remembers it and judges from the first frame. Ctrl-C ends it.

    With --learn one command goes from nothing to watching: it learns from the first minutes of SOURCE, keeps that in
    RUN, and watches what follows. Of a file that is the rest of it. Ctrl-C while it reads a stream learns from the
    frames until then, keeps that, and ends. A RUN that remembers what is normal is watched by at once.

    Example: `firstsight watch runs/hall rtsp://camera/1 --for hall.mp4@12.5 --novel --events hall.jsonl`

    Example: `firstsight watch runs/hall rtsp://camera/1 --learn 10min --state hall.state --false-alarms 1/day`
    """
    novel = novel or learn is not None
    for_novel = {"--novel-from": novel_from, "--false-alarms": false_alarms, "--stays": stays, "--state": state}
    check_used(for_novel, "what is new; give --novel as well", is_used=novel)
    check_used({"--match-from": match_from}, "anchors; give --for as well", is_used=bool(anchors))
    if not anchors and not novel:
        raise SettingsError("nothing to watch for; give --for ANCHOR, or --novel, or both")
    if learn is None:
        check_run(run)
    elif novel_from is not None:
        check_no_deviation({"--learn": learn})
    first = None if learn is None else footage.duration_seconds(learn, "--learn")
    check_out(state)
    check_rate(false_alarms)
    from firstsight.encoder.encoder import Encoder
    from firstsight.footage.stream import Stream, check_speed
    from firstsight.monitoring.deviation import judged_text
    from firstsight.monitoring.outlets import Destinations, open_outlets, send_all
    from firstsight.monitoring.watch import Watcher, close_from
    from firstsight.searching.query import read_anchors

    close_from(match_from)  # before minutes of learning
    check_speed(speed)
    console, by_deviation = notes(), novel_from is not None

    def say(line: str) -> None:
        console.print(printable(line), markup=False)

    destinations = Destinations(events_file, webhook, program, snapshots)
    with (
        Ending() as ending,
        open_outlets(
            destinations, lines=sys.stdout, as_json=as_json, notify=say, is_aborted=lambda: ending.num_signals > 1
        ) as outlets,
    ):
        start = None if first is None else _learned_until(run, source, first, ending)
        encoder = Encoder.load(run)
        vectors = read_anchors(anchors or [], encoder)
        memory = memory_for(run, false_alarms, by_deviation=by_deviation, state=state) if novel else None
        watcher = Watcher(
            encoder,
            anchors=vectors,
            novel=novel,
            match_from=match_from,
            novel_from=novel_from,
            memory=memory,
            false_alarms=false_alarms,
            stays=stays,
            state=state,
        )
        rate = _rate(frames_per_second, memory)
        watched, rate_of_stream = _rest(source, start, rate)
        with Stream(watched, views=watcher.views, frames_per_second=rate_of_stream, speed=speed) as stream:
            say(f"watching {stream.name}{'' if start is None else f' from {start:g} s on'}; Ctrl-C ends it")
            ended = send_all(watcher, stream, outlets, waiting=ending.interrupts)
            dropped = f", {stream.num_dropped} left out to keep up" if stream.num_dropped else ""
            skipped = f", {stream.num_skipped} could not be decoded" if stream.num_skipped else ""
            kept = f", kept in {events_file}" if events_file else ""
            events = counted(outlets.num_events, "event")
            say(f"{_BEFORE[ended]}{counted(watcher.num_frames, 'frame')} watched{dropped}{skipped}; {events}{kept}")
            known = watcher.memory
            of_deviation = judged_text(watcher.num_frames, watcher.num_judged, watcher.num_blind)
            say(of_deviation if known is None else known.promise(false_alarms))
    if ended == "interrupted":
        raise typer.Exit(130)


def _rate(given: float | None, memory: "Memory | None") -> float:
    """Frames a second that are judged."""
    from firstsight.monitoring.watch import frames_per_second_for

    return frames_per_second_for(by_memory=memory is not None) if given is None else given


def _learned_until(run: Path, source: str, seconds: float, ending: Ending) -> float | None:
    """As `learn_first`; after Ctrl-C it reports what is kept, and ends."""
    with ending.at_once():
        start = learn_first(run, source, seconds)
    if ending.num_signals:
        line = f"interrupted: what was learned is kept in {run}; the same command watches by it"
        notes().print(printable(line), markup=False)
        raise typer.Exit(130)
    return start


def _rest(source: str, start: float | None, rate: float) -> "tuple[str | Source, float | None]":
    """What is left to be watched after learning, and at which rate it is to be read."""
    if start is None:
        return source, rate
    rest = footage.open_footage([source], start, None, None, rate)
    if rest.num_frames() == 0:
        line = f"all of {rest.name} was learned from, nothing is left to be watched; give --learn a shorter time"
        notes().print(printable(line), markup=False)
        raise typer.Exit(0)
    return rest, None


# What the last line begins with, by what ended it.
_BEFORE = {"ended": "", "interrupted": "interrupted: ", "closed": "the reader of the events is gone: "}


def novelty_command(
    run: footage.Run,
    sources: footage.Sources,
    least: Annotated[
        float | None,
        typer.Option(metavar="X", help="Deviation of what is new, in usual deviations; 8 by default."),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the score of each frame.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures of the events, one file.")
    ] = None,
    clips: Annotated[Path | None, typer.Option(metavar="DIR", help="Cut the events out, a video each.")] = None,
    stays: Stays = False,
    start: footage.Start = None,
    end: footage.End = None,
    frames_per_second: footage.FramesPerSecond = None,
    state: State = None,
    false_alarms: FalseAlarms = None,
    as_json: footage.Json = False,
) -> None:
    """Find when a still camera shows something new.

    A run learned from this camera remembers what is normal, and every frame is judged by that. Without such a memory:

    The first five seconds set the usual view, best an empty one, and are not judged. What stays becomes usual after
    about a quarter of an hour. A run learned from the same camera works best.

    Example: `firstsight novelty runs/hall hall.mp4 --html new.html --clips new`
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.monitoring.deviation import judged_text, new_from
    from firstsight.monitoring.novelty import detect_novelty

    new_from(least)
    check_out(csv_file, html_file)
    if clips:
        check_out_folder(clips)
    check_rate(false_alarms)
    check_out(state)
    encoder, memory = Encoder.load(run), memory_for(run, false_alarms, by_deviation=least is not None, state=state)
    rate = _rate(frames_per_second, memory)
    source = footage.open_footage(sources, start, end, None, rate)
    if clips:
        from firstsight.export.clips import files_to_cut

        files_to_cut(source)
    display = Display(notes())
    with display:
        found = detect_novelty(
            encoder,
            source,
            novel_from=least,
            memory=memory,
            false_alarms=false_alarms,
            stays=stays,
            state=state,
            progress=display.progress,
        )
        if memory is not None and not as_json:
            display.say(memory.promise(false_alarms))
        elif found.episodes and not as_json:
            display.say(judged_text(len(found.frames), found.num_judged, found.num_blind))
    if as_json:
        print_json({**found.to_json(), **({"normal": memory.promised(false_alarms)} if memory else {})})
    else:
        typer.echo(_table(found, by_memory=memory is not None))
    _write(found, source, csv_file, html_file, display)
    if not as_json:
        say_written(csv_file, html_file)
    if clips:  # last, as it takes long
        with display:
            written = _cut(found, source, clips, display)
        if not as_json:
            say_written(*written)


def _write(
    found: "NoveltyScores", source: "Source", csv_file: Path | None, html_file: Path | None, display: Display
) -> None:
    if csv_file:
        from firstsight.export.tables import write_rounded

        write_rounded(found.to_arrow(), csv_file, digits={"seconds": 6, "novelty": 4})
    if html_file:
        from firstsight.files import write_atomically
        from firstsight.report.novelty import render_novelty_page

        with display:
            page = render_novelty_page(found, source)
        write_atomically(html_file, page.encode())


def _cut(found: "NoveltyScores", source: "Source", folder: Path, display: Display) -> list[Path]:
    from firstsight.export.clips import cut_events

    try:
        return cut_events(found, source, folder, progress=display.progress)
    except KeyboardInterrupt:
        display.say(f"interrupted; the clips that were finished are kept in {folder}")
        raise typer.Exit(130) from None


def _table(found: "NoveltyScores", *, by_memory: bool) -> str:
    from firstsight.monitoring.deviation import judged_text
    from firstsight.monitoring.novelty import files_text

    of_view = [_line_of_view(one) for one in found.view_changes]
    if not found.episodes and by_memory:
        return "\n".join([f"nothing new in {len(found.frames)} frames", *of_view])
    if not found.episodes:
        nothing = "nothing new; " if found.num_judged else ""
        return "\n".join([nothing + judged_text(len(found.frames), found.num_judged, found.num_blind), *of_view])
    with_files = len({frame.source for frame in found.frames}) > 1
    lines = ["   start       end      most   novelty" + "  of        " * by_memory + "  file" * with_files]
    for new in found.episodes:
        line = f"{new.start_seconds:>8.2f}  {new.end_seconds:>8.2f}  {new.peak_seconds:>8.2f}  {new.novelty:>8.1f}"
        line += f"  {new.part:<10}" if new.part else ""
        lines.append(f"{line}  {printable(files_text(new))}" if with_files else line)
    return "\n".join([*(line.rstrip() for line in lines), *of_view])


def _line_of_view(one: "ViewChange") -> str:
    from firstsight.monitoring.novelty import files_text

    until = "" if one.end_seconds is None else f"  {one.end_seconds:>8.2f}"
    return f"{one.start_seconds:>8.2f}{until or ' ' * 10}  {one.kind}  {printable(files_text(one))}"
