"""`firstsight scenes`: cuts and gradual changes of videos."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder
    from firstsight.footage.source import Source
    from firstsight.scene_detection.scenes import Scene


_COLUMNS = ("source", "scene", "begins", "start_seconds", "end_seconds", "first_frame", "pure_frame", "last_frame")


def command(
    sources: footage.Sources,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Look with this run; by default one is learned from the footage.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Write a table, a line a scene.")] = None,
    start: footage.Start = None,
    end: footage.End = None,
    as_json: footage.Json = False,
) -> None:
    """Find the scenes of videos: cuts, and gradual changes such as dissolves and fades, to the frame.

    Every frame is looked at. A scene that begins gradually has the frames of the passage; pure_frame is the first that
    shows nothing of the scene before.

    Example: `firstsight scenes film.mp4 --out scenes.csv`
    """
    from firstsight.scene_detection.scenes import find_scenes

    check_out(out)
    source = footage.open_footage(sources, start, end, None, None)
    with Display(notes()) as display:
        encoder = _encoder(run, source, display)
        total = source.num_frames()
        scenes = find_scenes(
            encoder,
            source,
            progress=lambda done: display.show("looking", done=done, total=total, state=""),
        )
    records = [_record(scene) for scene in scenes]
    if as_json:
        print_json({"scenes": records, "out": None if out is None else str(out)})
    else:
        typer.echo(_table(scenes))
    if out:
        _write(records, out)
    if not as_json:
        say_written(out)


def _encoder(run: Path | None, source: "Source", display: Display) -> "Encoder":
    from firstsight.encoder.encoder import Encoder
    from firstsight.errors import SourceError
    from firstsight.learning.learn import learn

    if run is not None:
        return Encoder.load(run)
    if not source.replayable:
        raise SourceError(f"{source.name} can be read only once, so there is nothing to learn from: give --run RUN")
    return learn(source, progress=display.progress)


def _record(scene: "Scene") -> dict[str, Any]:
    found = asdict(scene)
    return {"source": found.pop("source"), "scene": found.pop("number"), **found}


def _write(records: list[dict[str, Any]], path: Path) -> None:
    from firstsight.export.tables import write_csv

    rows = [{**one, **{name: f"{one[name]:.6f}" for name in ("start_seconds", "end_seconds")}} for one in records]
    write_csv(path, _COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))


def _table(scenes: "tuple[Scene, ...]") -> str:
    lines = []
    for scene in scenes:
        if scene.number == 1:
            num = sum(one.source == scene.source for one in scenes)
            lines += [
                f"{printable(scene.source)}: {num} scene{'s' if num > 1 else ''}",
                "scene     start       end  frames  begins",
            ]
        begins = {"cut": "with a cut", "gradual": f"gradually, until frame {scene.pure_frame}", None: ""}[scene.begins]
        lines.append(
            f"{scene.number:>5} {scene.start_seconds:>9.2f} {scene.end_seconds:>9.2f}  "
            f"{scene.first_frame}-{scene.last_frame}  {begins}".rstrip()
        )
    return "\n".join(lines)
