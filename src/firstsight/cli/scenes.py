"""`firstsight scenes`: cuts and gradual changes of videos."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.scene_detection.scenes import Scenes


def command(
    sources: footage.Sources,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Compare the frames by this encoder too, which takes longer.",
            callback=footage.check_run,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Write a table, a line a scene.")] = None,
    start: footage.Start = None,
    end: footage.End = None,
    as_json: footage.Json = False,
) -> None:
    """Find the scenes of videos, to the frame: cuts, dissolves and fades.

    A scene that begins gradually has the frames of the transition; pure_frame is the first without the scene before.

    Example: `firstsight scenes film.mp4 --out scenes.csv`
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_rounded
    from firstsight.scene_detection.scenes import Scene, Scenes, detect_scenes

    if out:
        check_ending(out, (".csv",))
    check_out(out)
    source = footage.open_footage(sources, start, end, None, None)
    encoder = Encoder.load(run) if run else None
    done, is_interrupted = list[Scene](), False
    with Display(notes()) as display:
        try:
            detect_scenes(source, encoder=encoder, progress=display.progress, finished=done.extend)
        except KeyboardInterrupt:
            if not done:
                raise
            is_interrupted = True
            display.say("interrupted; these are the scenes of the videos that were finished")
    scenes = Scenes(tuple(done))
    if is_interrupted and out and out.exists():
        out = None  # the table that is there stays
    if as_json:
        print_json({**scenes.to_json(), "is_complete": not is_interrupted, "out": None if out is None else str(out)})
    else:
        typer.echo(_table(scenes))
    if out:
        write_rounded(scenes.to_arrow(), out, digits={"start_seconds": 6, "end_seconds": 6, "strength": 4})
    if not as_json:
        say_written(out)
    if is_interrupted:
        raise typer.Exit(130)


def _table(scenes: "Scenes") -> str:
    lines, nums = [], Counter(scene.source for scene in scenes)
    for scene in scenes:
        if scene.number == 1:
            num = nums[scene.source]
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
