"""The options that choose footage, the same for every command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from firstsight.video.source import Source

SOURCES = typer.Argument(
    metavar="SOURCE...",
    help="A video, several, a folder of videos or pictures, a quoted glob, - for a video piped in, a camera: 0, "
    "or an address: rtsp://...",
    show_default=False,
)
Sources = Annotated[list[str], SOURCES]
Start = Annotated[float | None, typer.Option("--start", metavar="SECONDS", help="Leave out what comes before.")]
End = Annotated[float | None, typer.Option("--end", metavar="SECONDS", help="Leave out this moment and what follows.")]
Every = Annotated[int | None, typer.Option("--every", metavar="N", help="Use every n-th frame.")]
FramesPerSecond = Annotated[
    float | None, typer.Option("--fps", metavar="RATE", help="Use at most so many frames a second of footage.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A folder made by learn, or an article weights file (.pth).")]
BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="X,Y,W,H", help="Only what lies in this box of the picture, in its pixels."),
]


def open_footage(
    sources: list[str], start: float | None, end: float | None, every: int | None, frames_per_second: float | None
) -> "Source":
    """The source that the options describe."""
    from firstsight.video.source import open_source

    return open_source(
        sources[0] if len(sources) == 1 else sources,
        start_seconds=start,
        end_seconds=end,
        every=every,
        frames_per_second=frames_per_second,
    )
