"""`firstsight index`: footage into a library."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes
from firstsight.errors import SettingsError, SourceError
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder
    from firstsight.footage.sampling import Sampling
    from firstsight.indexing.estimate import Indexed, IndexProgress
    from firstsight.library.source_files import FootageFile
    from firstsight.library.store import Store


_NAMES_SHOWN = 5
# The longest an embedding of the default method can be: that of an encoder not learned yet is not known.
LONGEST = 496


def command(
    folder: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A folder; a new one becomes a library.")],
    sources: footage.AnySources = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="The encoder of a new library; by default one is learned from the sources."),
    ] = None,
    frames_per_second: footage.FramesPerSecond = None,
    every: footage.Every = None,
    reindex: Annotated[
        bool,
        typer.Option("--reindex", help="Embed all that is in it anew: by --model, or by an encoder learned from it."),
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try files again that could not be read, and have not changed since.")
    ] = False,
    as_json: footage.Json = False,
) -> None:
    """Put footage into a library, to be searched.

    What is in it already is not read again. Of videos 2 frames a second are taken, or what --fps or --every said when
    the library was made; of pictures all. Said later, --fps and --every are for the sources named with them, which keep
    that rate. A new library learns its encoder from the sources and keeps it.

    Example: `firstsight index walks.library walks/ --fps 1`
    """
    from firstsight.footage.sampling import Sampling
    from firstsight.indexing.writer import only_first_interrupt
    from firstsight.library.folder import is_library

    sampling = Sampling(frames_per_second=frames_per_second, every=every)
    with only_first_interrupt(), Display(notes()) as display:
        try:
            library, outcome = _indexed(
                folder, sources or [], model, sampling, reindex=reindex, retry=retry, display=display
            )
        except KeyboardInterrupt:
            kept = f"what was embedded is kept in {folder}" if is_library(folder) else "nothing is kept of the encoder"
            display.say(f"interrupted; {kept}; go on with the same command")
            raise typer.Exit(130) from None
    _print(library, outcome, as_json=as_json)


def _indexed(
    folder: Path,
    sources: list[str],
    model: Path | None,
    sampling: "Sampling",
    *,
    reindex: bool,
    retry: bool,
    display: Display,
) -> "tuple[Store, Indexed]":
    """The library with the sources in it, and what was done for that."""
    from firstsight.library.folder import check_free, is_library
    from firstsight.library.store import Store

    if is_library(folder):
        library = Store.open(folder)
        if reindex:
            return _reindexed(library, sources, model, sampling, display)
        if model is not None:
            _check_same_encoder(library, model)
        total = _tell_estimate(folder, _found(sources), sampling, display, library=library)
    elif reindex:
        raise SettingsError(f"there is no library at {folder} to embed anew; leave out --reindex")
    else:
        check_free(folder)
        files = _found(sources)
        encoder = None if model is None else _load(model)
        total = _tell_estimate(folder, files, sampling, display, encoder=encoder)
        rate, every = sampling.frames_per_second, sampling.every
        library = Store.create(folder, encoder or _learned(files, display), frames_per_second=rate, every=every)
        return library, _add_first(library, sources, sampling, display, total=total)
    return library, _add(library, sources, sampling, display, total=total, retry=retry)


def _add_first(
    library: "Store", sources: list[str], sampling: "Sampling", display: Display, *, total: int | None
) -> "Indexed":
    """Into a library that was made for it; where none of it can be read, nothing of that is left behind."""
    try:
        return _add(library, sources, sampling, display, total=total, retry=False)
    except SourceError:
        library.close()
        shutil.rmtree(library.path, ignore_errors=True)
        raise


def _reindexed(
    library: "Store", sources: list[str], model: Path | None, sampling: "Sampling", display: Display
) -> "tuple[Store, Indexed]":
    """All that is in the library embedded anew, then the sources brought in."""
    from firstsight.footage.sampling import Sampling
    from firstsight.indexing.index_files import files_of, reindex

    if not sources and sampling != Sampling():
        raise SettingsError("--reindex keeps the rate of each source; name those that --fps or --every is for")
    files = [*(file for file, _ in files_of(library)), *(_found(sources) if sources else [])]
    encoder = _learned(files, display) if model is None else _load(model)
    library, outcome = reindex(library, encoder, progress=_shown(display, library.num_frames))
    if not sources:
        return library, outcome
    display.say(summary(outcome))
    return library, _add(library, sources, sampling, display, total=None, retry=False)


def _add(
    library: "Store", sources: list[str], sampling: "Sampling", display: Display, *, total: int | None, retry: bool
) -> "Indexed":
    from firstsight.indexing.index_files import add

    rate, every = sampling.frames_per_second, sampling.every
    return add(library, sources, frames_per_second=rate, every=every, retry=retry, progress=_shown(display, total))


def _found(sources: Sequence[str]) -> "list[FootageFile]":
    from firstsight.library.source_files import find_footage

    if not sources:
        raise SettingsError("no footage given; name videos, folders or pictures: firstsight index LIBRARY SOURCE...")
    files, failures = find_footage(sources)
    if not files:
        raise SourceError(failures[0])
    return files


def _load(model: Path) -> "Encoder":
    from firstsight.encoder.encoder import Encoder

    return Encoder.load(model)


def _learned(files: "Sequence[FootageFile]", display: Display) -> "Encoder":
    """One learned from all frames of the videos; where there is none, from the pictures."""
    from firstsight.learning.learn import learn

    paths = [file.path for file in files if not file.is_picture] or [file.path for file in files]
    if not paths:
        raise SettingsError("the library holds nothing to learn an encoder from; name footage, or give --model RUN")
    display.say(f"learning an encoder from {len(paths)} source{'s' if len(paths) > 1 else ''}")
    return learn(paths[0] if len(paths) == 1 else paths, progress=display.progress)


def _check_same_encoder(library: "Store", model: Path) -> None:
    from firstsight.indexing.index_files import check_same_encoder

    check_same_encoder(library, _load(model))


def _tell_estimate(
    folder: Path,
    files: "Sequence[FootageFile]",
    sampling: "Sampling",
    display: Display,
    *,
    library: "Store | None" = None,
    encoder: "Encoder | None" = None,
) -> int | None:
    """Says how many frames there will be, and what they will take; gives their number if it is known."""
    from firstsight.footage.sampling import Sampling
    from firstsight.indexing.estimate import estimate, megabytes
    from firstsight.library.folder import LibraryConfig

    asked = None if sampling == Sampling() else sampling
    config = library.config if library else LibraryConfig("", dim=encoder.dim if encoder else LONGEST)
    records = (*library.failed_sources, *library.sources) if library else ()
    expected = estimate(folder, files, asked, usual=config.sampling_for(sampling), records=records, dim=config.dim)
    if expected.num_sources:
        beside = (
            f" and those of {expected.num_unknown} that do not say how long they are" if expected.num_unknown else ""
        )
        display.say(
            f"{expected.num_sources} of {len(files)} sources are new or changed: about {expected.num_frames} frames"
            f"{beside}, {megabytes(expected.num_bytes)} on disk of {megabytes(expected.free_bytes)} free"
        )
    for line in expected.doubts:
        display.say(printable(line))
    expected.check()
    return None if expected.num_unknown else expected.num_frames or None


def _shown(display: Display, total: int | None) -> "Callable[[IndexProgress], None]":
    def show(progress: "IndexProgress") -> None:
        for line in progress.news:
            display.say(printable(line))
        state = f"source {progress.num_done + 1} of {progress.num_sources} {printable(progress.source)}"
        display.show(progress.what, done=progress.num_frames, total=total, state=state)

    return show


def _print(library: "Store", outcome: "Indexed", *, as_json: bool) -> None:
    if as_json:
        held = {"library": str(library.path), "num_sources": len(library.sources), "frames_held": library.num_frames}
        typer.echo(json.dumps({**held, **asdict(outcome)}))
        return
    typer.echo(summary(outcome))
    for line in _remarks(library, outcome):
        typer.echo(line)
    typer.echo(f"{library.path} holds {library.num_frames} frames of {len(library.sources)} sources")


def _remarks(library: "Store", outcome: "Indexed") -> list[str]:
    """What was left as it is, and why."""
    from firstsight.footage.sampling import Sampling
    from firstsight.library.records import rate_in_words

    lines = []
    if outcome.failed_before:
        lines.append(
            f"{len(outcome.failed_before)} could not be read before and have not changed since; --retry tries them "
            f"again: {listed(outcome.failed_before)}"
        )
    if outcome.own_rate:
        usual = rate_in_words(library.config.sampling_for(Sampling()))
        lines.append(f"{listed(outcome.own_rate)}: left at a rate of their own, not {usual}; --fps changes it")
    return lines


def summary(outcome: "Indexed") -> str:
    """What indexing did, in a line."""
    kinds = {
        "new": outcome.added,
        "changed": outcome.changed,
        "copies of others": outcome.copied,
        "moved": outcome.moved,
        "there already": outcome.unchanged,
        "not readable": outcome.failures,
        "not readable as before": outcome.failed_before,
    }
    parts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
    lost = f", {outcome.num_skipped} frames lost: they could not be decoded" if outcome.num_skipped else ""
    return f"embedded {outcome.num_frames} frames in {outcome.seconds:.1f} s; sources: {parts}{lost}"


def listed(names: Sequence[str], *, shown: int = _NAMES_SHOWN) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(printable, names[:shown])) + more
