"""Decoys: pictures made from a library's own frames that are certainly not in it, to measure what is normal there.

A frame of the library itself does not serve. The encoder has learned from it, so it is less like the other frames than
a new picture of the same kind would be; and its subject may have been filmed twice. A part of it upside down, or a
close-up on its side, keeps the colours and the textures, and is nowhere in the footage.

Two kinds of decoys are left out. One without contrast shows nothing. And one whose frame looks the same upside down
finds its own footage again, which is no false match. So a decoy is compared with the footage of other sources, and
counts only if its nearest frame there is not, beyond chance, at least as like the decoy's origin as the decoy.

Where a second stage judges (`nearest.py`), each decoy is judged against its candidates as a query would be, and its
origin against the frame found. Upside down a picture loses the layout that pictures of a kind share, the sky above and
the street below, so that nothing would agree with it; in a mirror it keeps that. So there two views of a frame are
mirrored, unless too few of them count: before a still camera they find their own footage by the vectors, which are the
same in a mirror.

Source: the search for peptides among reversed sequences, Elias, Gygi, "Target-decoy search strategy", 2007.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.encoder.descriptions import Descriptions
from firstsight.errors import RunError
from firstsight.files import read_regular, write_atomically
from firstsight.library.embeddings import Embeddings, Sample
from firstsight.library.store import BATCH_ROWS, Store
from firstsight.library.thumbnails import as_picture
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import (
    MIN_DECOYS,
    SAME_FOOTAGE_RATE,
    Background,
    Floats,
    far_seconds,
    measure_background,
)
from firstsight.searching.moments import best_of_moments, moments_of, taken_in_turn
from firstsight.searching.nearest import NUM_CANDIDATES, Judge

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder

Picture = NDArray[np.uint8]  # (H, W, 3)

# Two decoys are made of each frame. Four times as many would halve the error of a threshold, in four times the time.
_NUM_FRAMES = 200
# Share of each side of a frame that is kept. A wide view upside down stands for a picture of the same kind, a close-up
# on its side for a foreign one: before one fixed camera the former alone resembles no frame enough.
_WIDE_VIEW = (0.8, 1.0)
_CLOSE_UP = (0.3, 0.5)
# Grey levels, standard deviation: the encoder divides by sqrt(variance + 0.003) of values from 0 to 1, so that below
# 0.003 ** 0.5 hardly anything is left (`docs/method.md`).
_MIN_CONTRAST = 255 * 0.003**0.5
# All pairs of these are compared, for the similarity of unrelated frames.
_MAX_SAMPLE = 2_000
_BATCH_SIZE = 64
_FILE = "background.npz"
_FORMAT = 4  # since 4 similarities are fused where a second stage judges
_DECOYS_AT_ONCE = 16  # whose candidates are held: 320 frames of 18 kB


def background_of(library: Store, *, progress: Report = silent) -> Background:
    """What is normal in the library, measured over all of it once, in seconds, and kept until its footage changes."""
    news = "measuring what is normal in this library: some seconds, once"
    return kept_background(library, _FILE, lambda: _measure(library, progress), news=news, progress=progress)


def kept_background(
    library: Store, file_name: str, measure: Callable[[], Background], *, news: str, progress: Report
) -> Background:
    """What was measured of the library as it is now, from memory or from that file; else measured, with a report."""
    if file_name not in library.derived:
        file, state = library.tables.folder / file_name, _state_of_sources(library)
        background = _read(file, state, num_sources=len(library.sources))
        if background is None:
            progress(Progress("measuring", 0, None, news=(news,)))
            background = measure()
            _write(file, state, background)
        library.derived[file_name] = background
    known: Background = library.derived[file_name]
    return known


def _measure(library: Store, progress: Report) -> Background:
    sample = Sample(_MAX_SAMPLE)
    for batch in library.iterate():
        sample.add(batch)
    if not len(sample):
        return Background(np.empty(0, np.float32), np.empty(0, np.float32), num_sources=0)
    frames = sample.embeddings()
    origins, pictures = make_decoys(library, frames)
    described = describe_pictures(library.encoder, pictures)
    decoys = Decoys(described.vectors, origins)
    measure = Measurement(decoys, content_groups(library), far_seconds(frames.seconds))
    num_done = 0
    for batch in library.iterate():
        measure.add(batch)
        num_done += len(batch)
        progress(Progress("measuring", num_done, library.num_frames))
    judge = Judge.of(library)
    if judge is None:
        return measure_background(frames, measure.bests())
    mirrored_origins, pictures = make_decoys(library, frames, in_a_mirror=True)
    mirrored = describe_pictures(library.encoder, pictures)
    best, to_origin = _JudgedDecoys(judge, mirrored, mirrored_origins, frames).bests(progress)
    if (to_origin < best).sum() < MIN_DECOYS:
        best, to_origin = _JudgedDecoys(judge, described, origins, frames).bests(progress)
    fused = _without_own(best, to_origin)
    positions = _positions(library, frames)

    def similarity(row: int, others: NDArray[np.intp]) -> Floats:
        cells = library.cells_of(positions[[row]])[0]
        return judge.stage.fused(
            frames.vectors[others] @ frames.vectors[row], judge.agreements_of(cells, positions[others])
        )

    return measure_background(frames, measure.bests(), (fused, similarity))


def _positions(library: Store, frames: Embeddings) -> NDArray[np.intp]:
    """Of frames of a library in its timeline."""
    ids = np.array([record.id for record in library.sources], np.int64)
    return library.timeline.find(ids[frames.source_indices], frames.frame_indices)


class _JudgedDecoys:
    """The fused similarity of each decoy to the best frame of a library.

    Args:
        judge: of the library.
        described: M decoys.
        origins: M frames, of which they were made.
        sample: of the library's frames; decoys are compared with those that are unrelated to their own.
    """

    def __init__(self, judge: Judge, described: Descriptions, origins: Embeddings, sample: Embeddings) -> None:
        self._judge, self._library, self._described, self._origins = judge, judge.library, described, origins
        self._frames, self._moments = self._library.timeline.frames, moments_of(self._library.timeline.frames)
        self._groups, self._far_seconds = content_groups(self._library), far_seconds(sample.seconds)
        sizes = np.bincount(self._groups[self._frames.source_indices], minlength=len(self._groups))
        self._own = self._groups[origins.source_indices]
        self._uses_own = sizes[self._own] > sizes.sum() / 2

    def bests(self, progress: Report) -> tuple[Floats, Floats]:
        """(M',) of the decoys that are compared with any frame: of the best frame, to the decoy and to its origin."""
        described, num = self._described, len(self._origins)
        if described.cells is None or described.in_place is None or not num:
            return np.empty(0, np.float32), np.empty(0, np.float32)
        rows = taken_in_turn(
            self._candidates(described.vectors, self._library.vectors()),
            self._candidates(described.in_place, self._library.in_place()),
            NUM_CANDIDATES,
        )
        wanted = np.unique(np.concatenate(rows))
        vectors, origins = self._vectors(wanted), _positions(self._library, self._origins)
        best, to_origin = np.full((2, num), -np.inf, np.float32)
        for start in range(0, num, _DECOYS_AT_ONCE):
            some = np.arange(start, min(start + _DECOYS_AT_ONCE, num))
            used = np.unique(np.concatenate([rows[number] for number in some]))
            both = self._library.cells_of(np.concatenate([used, origins[some]]))
            for place, number in enumerate(some):
                own = rows[number]
                if len(own):
                    cells, beside = both[np.searchsorted(used, own)], vectors[np.searchsorted(wanted, own)]
                    found = self._fused(described.vectors[number], described.cells[number], beside, cells)
                    first = [int(found.argmax())]
                    made_of = both[len(used) + place]
                    best[number] = found[first[0]]
                    to_origin[number] = self._fused(
                        self._origins.vectors[number], made_of, beside[first], cells[first]
                    )[0]
            progress(Progress("judging decoys", int(some[-1]) + 1, num))
        compared = best > -np.inf
        return best[compared], to_origin[compared]

    def _fused(self, vector: Floats, cells: NDArray[np.int8], vectors: Floats, others: NDArray[np.int8]) -> Floats:
        return self._judge.stage.fused(vectors @ vector, self._judge.stage.agreement(cells, others))

    def _candidates(self, decoys: Floats, batches: Iterable[tuple[NDArray[np.intp], Floats]]) -> NDArray[np.intp]:
        """The best frames (M, 20) of moments by one of the two kinds of vectors; -1 where there are fewer."""
        rows = np.full((len(decoys), NUM_CANDIDATES), -1, np.intp)
        scores = np.full(rows.shape, -np.inf, np.float32)
        for positions, vectors in _in_parts(batches):
            found = np.where(self._counts(positions), decoys @ vectors.T, np.float32(-np.inf))
            places = best_of_moments(found, self._moments[positions], NUM_CANDIDATES)
            heights = np.where(places >= 0, np.take_along_axis(found, np.maximum(places, 0), 1), -np.inf)
            rows = np.concatenate([rows, np.where(places >= 0, positions[places], -1)], axis=1)
            scores = np.concatenate([scores, heights], axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_CANDIDATES]
            rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
        return rows

    def _counts(self, positions: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(M, B): with which frames each decoy is compared."""
        frames, origins = self._frames, self._origins
        is_own = self._own[:, None] == self._groups[frames.source_indices[positions]]
        is_far = np.abs(origins.seconds[:, None] - frames.seconds[positions]) >= self._far_seconds
        counts: NDArray[np.bool_] = ~is_own | (is_far & self._uses_own[:, None])
        return counts

    def _vectors(self, wanted: NDArray[np.intp]) -> Floats:
        """Those of frames at these positions (K,), ascending."""
        found = np.empty((len(wanted), self._library.dim), np.float32)
        for positions, vectors in _in_parts(self._library.vectors()):
            is_wanted = np.isin(positions, wanted)
            found[np.searchsorted(wanted, positions[is_wanted])] = vectors[is_wanted]
        return found


def _in_parts(
    batches: Iterable[tuple[NDArray[np.intp], Floats]],
) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """Each batch in order of positions, some thousands of them at once."""
    for positions, vectors in batches:
        order = np.argsort(positions)
        for start in range(0, len(order), BATCH_ROWS):
            some = order[start : start + BATCH_ROWS]
            yield positions[some], vectors[some]


def rows_of_decoys(frames: Embeddings) -> NDArray[np.intp]:
    """The frames that decoys are made of: at most 200, evenly spaced."""
    return np.unique(np.linspace(0, len(frames) - 1, _NUM_FRAMES).astype(int))


def make_decoys(library: Store, frames: Embeddings, *, in_a_mirror: bool = False) -> tuple[Embeddings, list[Picture]]:
    """The frames that decoys were made of, evenly spaced, and the decoys, made of thumbnails; none without contrast."""
    rows = rows_of_decoys(frames)
    jpegs = library.thumbnails([(frames.source_of(row), int(frames.frame_indices[row])) for row in rows])
    random = np.random.default_rng(0)
    made = [
        (row, decoy)
        for row, jpeg in zip(rows, jpegs, strict=True)
        for decoy in decoys_of(as_picture(jpeg), random, in_a_mirror=in_a_mirror)
    ]
    kept = [(row, decoy) for row, decoy in made if has_contrast(decoy)]
    return frames[np.array([row for row, _ in kept], np.intp)], [decoy for _, decoy in kept]


def decoys_of(picture: Picture, random: np.random.Generator, *, in_a_mirror: bool = False) -> tuple[Picture, Picture]:
    """Two of a picture and of its size: most of it upside down, and a close-up on its side; or most of it mirrored."""
    if in_a_mirror:
        one, other = (_part(picture, _WIDE_VIEW, random)[:, ::-1] for _ in range(2))
        return _resized(one, picture), _resized(other, picture)
    turned = _part(picture, _WIDE_VIEW, random)[::-1]
    on_its_side = np.rot90(_part(picture, _CLOSE_UP, random))
    return _resized(turned, picture), _resized(on_its_side, picture)


def has_contrast(picture: Picture) -> bool:
    """Whether an encoder finds any structure in it."""
    return float(picture.mean(axis=2).std()) >= _MIN_CONTRAST


def describe_pictures(encoder: "Encoder", pictures: Sequence[Picture]) -> Descriptions:
    """The descriptions of M pictures of any size."""
    if not pictures:
        return Descriptions(np.empty((0, encoder.dim), np.float32))
    found = []
    for start in range(0, len(pictures), _BATCH_SIZE):
        some = pictures[start : start + _BATCH_SIZE]
        found.append(encoder.describe(np.concatenate([encoder.view.apply(one[None]) for one in some])))
    return Descriptions(*(np.concatenate(parts) for parts in zip(*(one.parts for one in found), strict=True)))


def content_groups(library: Store) -> NDArray[np.int64]:
    """For each source, in order of `library.sources`, the number of the first one with the same content."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(one.content, number) for number, one in enumerate(library.sources)], np.int64)


@dataclass(frozen=True, eq=False)
class Decoys:
    """M decoys, and the frames that they were made of."""

    vectors: Floats  # (M, D), of unit length
    origins: Embeddings  # M frames; a decoy is compared with frames that are unrelated to its own


class Measurement:
    """The similarity of each decoy to its nearest frame, over all frames that come.

    Args:
        decoys: what is compared.
        groups: (S,), by `content_groups`; sources of one group count as one.
        far_seconds: in a source that holds most of the frames, frames this far apart are unrelated.
    """

    def __init__(self, decoys: Decoys, groups: NDArray[np.int64], far_seconds: float) -> None:
        self._decoys, self._groups, self._far_seconds = decoys, groups, far_seconds
        num = len(decoys.origins)
        self._others = np.full((2, num), -1.0, np.float32)  # of its nearest frame elsewhere, to it and to its origin
        self._own = np.full((2, num), -1.0, np.float32)  # the same, of its own source's frames far away in time
        self._counts = np.zeros(len(groups), np.int64)

    def add(self, frames: Embeddings, likeness: Floats | None = None, origins: Floats | None = None) -> None:
        """Some more frames (B); how like each decoy and each origin (M, B) they are, if not by their vectors."""
        self._counts += np.bincount(frames.source_indices, minlength=len(self._groups))
        decoys, made_of = self._decoys.vectors, self._decoys.origins
        if not len(decoys):
            return
        to_decoys = decoys @ frames.vectors.T if likeness is None else likeness
        to_origins = made_of.vectors @ frames.vectors.T if origins is None else origins
        is_own = self._groups[made_of.source_indices][:, None] == self._groups[frames.source_indices]
        is_far = np.abs(made_of.seconds[:, None] - frames.seconds) >= self._far_seconds
        _raise(self._others, to_decoys, to_origins, ~is_own)
        _raise(self._own, to_decoys, to_origins, is_own & is_far)

    def bests(self) -> Floats:
        """(M',): of the decoys that count; of all that were compared, if those are too few."""
        sizes = np.bincount(self._groups, self._counts, minlength=len(self._groups))
        is_most = sizes[self._groups[self._decoys.origins.source_indices]] > sizes.sum() / 2
        use_own = is_most & (self._own[0] > self._others[0])
        best, to_origin = np.where(use_own, self._own, self._others)
        compared = best > -1
        found: Floats = _without_own(best[compared], to_origin[compared]).clip(-1, 1)
        return found


def _without_own(best: Floats, to_origin: Floats) -> Floats:
    """The similarities of those decoys that did not find their own frame again; of all, if few did not.

    A decoy counts whose nearest frame is less like its origin than like itself. One that shows little, such as an edge,
    may find a frame a little more like its origin by chance, and leaving it out would make thresholds too low. So it
    counts too, unless its nearest frame is more like its origin than the decoys counted so far make likely.
    """
    counts = to_origin < best
    if counts.sum() < MIN_DECOYS:
        return best
    while True:
        by_chance = Background(np.empty(0, np.float32), np.sort(best[counts]), num_sources=0)
        more = counts | (to_origin < by_chance.threshold(SAME_FOOTAGE_RATE))
        if (more == counts).all():
            return best[counts]
        counts = more


def _raise(best: Floats, to_decoys: Floats, to_origins: Floats, counts: NDArray[np.bool_]) -> None:
    """Updates the best so far with what counts among (M, B) further frames, in place."""
    similarities = np.where(counts, to_decoys, -np.inf)
    nearest = similarities.argmax(axis=1)[:, None]
    found = np.concatenate(
        [np.take_along_axis(similarities, nearest, 1), np.take_along_axis(to_origins, nearest, 1)], axis=1
    ).T
    better = found[0] > best[0]
    best[:, better] = found[:, better]


def _part(picture: Picture, share: tuple[float, float], random: np.random.Generator) -> Picture:
    """A random part of a picture, with a share of each side drawn from that range."""
    height, width = picture.shape[:2]
    part = random.uniform(*share)
    rows, columns = max(1, round(part * height)), max(1, round(part * width))
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    return picture[top : top + rows, left : left + columns]


def _resized(picture: Picture, like: Picture) -> Picture:
    height, width = like.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _state_of_sources(library: Store) -> str:
    """A hash of what a measurement depends on."""
    parts = repr([_FORMAT, *((record.id, record.content, record.num_frames) for record in library.sources)])
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _read(file: Path, state: str, *, num_sources: int) -> Background | None:
    """What was kept of that state; None if there is no such file, or it is damaged or of another state."""
    try:
        with np.load(io.BytesIO(read_regular(file))) as kept:
            if str(kept["state"]) != state:
                return None
            pairs, decoys = (np.asarray(kept[name], np.float32) for name in ("pairs", "decoys"))
    except Exception:  # a damaged archive raises almost any
        return None
    is_sound = all(values.ndim == 1 and np.isfinite(values).all() for values in (pairs, decoys))
    return Background(pairs, decoys, num_sources=num_sources) if is_sound else None


def _write(file: Path, state: str, background: Background) -> None:
    """Keeps what was measured, if it can: a library on a read-only disk is measured for each process."""
    content = io.BytesIO()
    np.savez(content, state=np.array(state), pairs=background.pairs, decoys=background.decoys)
    try:
        write_atomically(file, content.getvalue())
    except RunError:
        return
