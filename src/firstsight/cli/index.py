"""`firstsight index`: footage into a library."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes, print_json
from firstsight.text import counted, printable

if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.indexing.estimate import Indexed

_NAMES_SHOWN = 5


def command(
    folder: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A folder; a new one becomes a library.")],
    sources: footage.AnySources = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="The encoder of a new library; by default one is learned from the sources."),
    ] = None,
    frames_per_second: footage.FramesPerSecond = None,
    every: footage.Every = None,
    keyframes: Annotated[
        bool, typer.Option("--keyframes", help="Decode the keyframes of videos alone, a small part of the time.")
    ] = False,
    reindex: Annotated[
        bool,
        typer.Option("--reindex", help="Re-embed all sources, by --model or by an encoder learned from them."),
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try unchanged files again that could not be read.")] = False,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="ray[:ADDRESS]", help="Embed videos by Ray: on all processors of this machine, or of a cluster."
        ),
    ] = None,
    as_json: footage.Json = False,
) -> None:
    """Put footage into a library, to be searched.

    Sources that it holds already are not read again. It takes 2 frames a second of videos, or those of --fps or --every
    when the library was made, and all pictures; with --keyframes of the keyframes alone, some seconds apart. Given
    later, these set the rate of the sources named with them. A new library learns its encoder from the sources and
    keeps it.

    Example: `firstsight index walks.library walks/ --fps 1`
    """
    from firstsight.indexing.writer import only_first_interrupt
    from firstsight.library.folder import is_library
    from firstsight.object_store import to_path

    folder = to_path(folder)
    with only_first_interrupt(), Display(notes()) as display:
        try:
            library, outcome = _index(
                folder,
                sources or [],
                model,
                (frames_per_second, every, keyframes),
                display,
                reindex=reindex,
                retry=retry,
                on=on,
            )
        except KeyboardInterrupt:
            kept = f"what was embedded is kept in {folder}" if is_library(folder) else "nothing is kept of the encoder"
            display.say(f"interrupted; {kept}; go on with the same command")
            raise typer.Exit(130) from None
    _print(library, outcome, as_json=as_json)


def _index(
    folder: Path,
    sources: list[str],
    model: Path | None,
    sampling: tuple[float | None, int | None, bool],
    display: Display,
    *,
    reindex: bool,
    retry: bool,
    on: str | None,
) -> "tuple[Library, Indexed]":
    """A new library, more in an existing one, or all of it re-embedded."""
    from firstsight.api import Library
    from firstsight.encoder.encoder import Encoder
    from firstsight.indexing.index_files import check_same_encoder
    from firstsight.library.folder import is_library

    rate, every, keyframes = sampling
    encoder = None if model is None else Encoder.load(model)
    report = display.progress
    if not reindex and not is_library(folder):
        library = Library.create(
            folder,
            sources,
            encoder=encoder,
            frames_per_second=rate,
            every=every,
            keyframes=keyframes,
            on=on,
            progress=report,
        )
        return library, library.indexed
    library = Library.open(folder)
    if reindex:
        return library, library.reindex(
            encoder, sources, frames_per_second=rate, every=every, keyframes=keyframes, on=on, progress=report
        )
    if encoder is not None:
        check_same_encoder(library.store, encoder)
    return library, library.add(
        sources, frames_per_second=rate, every=every, keyframes=keyframes, retry=retry, on=on, progress=report
    )


def _print(library: "Library", outcome: "Indexed", *, as_json: bool) -> None:
    if as_json:
        print_json(outcome.to_json())
        return
    typer.echo(outcome.summary())
    for line in _remarks(library, outcome):
        typer.echo(line)
    held, sources = counted(outcome.frames_held, "frame"), counted(outcome.num_sources, "source")
    typer.echo(f"{printable(library.store.name)} holds {held} of {sources}")


def _remarks(library: "Library", outcome: "Indexed") -> list[str]:
    """What was left unchanged, and why."""
    from firstsight.footage.sampling import Sampling
    from firstsight.library.records import rate_in_words

    lines = []
    if outcome.failed_before:
        lines.append(
            f"{len(outcome.failed_before)} could not be read before and have not changed since; --retry tries them "
            f"again: {listed(outcome.failed_before)}"
        )
    if outcome.own_rate:
        usual = rate_in_words(library.store.config.sampling_for(Sampling()))
        lines.append(f"{listed(outcome.own_rate)}: left at a rate of their own, not {usual}; --fps changes it")
    return lines


def listed(names: Sequence[str], *, shown: int = _NAMES_SHOWN) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(printable, names[:shown])) + more
