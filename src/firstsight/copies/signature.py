"""Signatures: 64 numbers of a frame that hardly change when a video is made grey, small, or re-encoded.

They are computed for all frames of a library, source by source, from its thumbnails. The encoder's embeddings do not
serve, as they change with colour. A signature holds the lowest cosine coefficients of the luma. Mirroring a picture, or
turning it upside down, changes only their signs, so neither has to be computed from pixels.

*Source:* the perceptual hash by cosine transform, Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010; here with the coefficients themselves instead of one bit of each.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn

from firstsight.errors import LibraryError
from firstsight.library.damage import CHECK
from firstsight.library.records import SourceRecord, ThumbnailRows
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture, opened
from firstsight.progress import Progress, Report, silent
from firstsight.text import printable

SIDE = 16  # cells of a picture, each way
_NUM_WAVES = 8  # of the cosine transform, each way
NUM_COEFFICIENTS = _NUM_WAVES**2
# Of each side. With the complete picture and its middle, crops from none to a quarter of each side are near one.
MIDDLE = 0.85
# A border is a bar if in every frame most of it is what JPEG makes of black; a logo may lie on it.
_BLACK = 12.0  # grey levels, of 255
_BLACK_SHARE = 0.7
_MAX_BARS = 0.3  # of the picture, at each side
_NUM_FOR_BARS = 24  # pictures of a source that its bars are found in
_ROWS_AT_ONCE = 1_024  # thumbnails held in memory, 4 to 8 MB

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_ODD = np.where(np.arange(_NUM_WAVES) % 2, -1, 1).astype(np.float32)
IN_A_MIRROR = np.tile(_ODD, _NUM_WAVES)  # (64,): times a signature, that of the picture with left and right exchanged
UPSIDE_DOWN = np.repeat(_ODD, _NUM_WAVES)  # (64,): with top and bottom exchanged

Pictures = NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True)
class Bars:
    """How much of a picture is border around it, as shares of its height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def mirrored(self) -> "Bars":
        """Those of the picture with left and right exchanged."""
        return Bars(self.top, self.bottom, self.right, self.left)

    @property
    def share(self) -> float:
        """Of the picture's area."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)


def find_bars(pictures: Pictures) -> Bars:
    """The border that is black in all pictures of a source."""
    luma = pictures @ _LUMA
    top, bottom = _black_ends(luma)
    left, right = _black_ends(luma.transpose(0, 2, 1))
    return Bars(top, bottom, left, right)


def decode_small(jpeg: bytes) -> Image.Image:
    """A thumbnail at half its size or a little more, which JPEG gives in a fraction of the time."""
    with opened(jpeg) as image:
        image.draft("RGB", (image.width // 2, image.height // 2))
        return image.convert("RGB")


def cells(image: Image.Image, bars: Bars, *, part: float = 1.0) -> NDArray[np.uint8]:
    """The mean colours (16, 16, 3) of the cells of a picture without its bars, or of the middle `part` of each side."""
    width, height = image.size
    left, top = width * bars.left, height * bars.top
    inner_width, inner_height = width * (1 - bars.right) - left, height * (1 - bars.bottom) - top
    margin_x, margin_y = inner_width * (1 - part) / 2, inner_height * (1 - part) / 2
    box = (left + margin_x, top + margin_y, left + inner_width - margin_x, top + inner_height - margin_y)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, box=box))


def signatures(cells_of_frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The lowest 8x8 coefficients of the luma's cosine transform, orthonormal: (..., 16, 16, 3) -> (..., 64)."""
    luma = cells_of_frames @ _LUMA - 128  # a middle grey is 0, so that 16 bits are enough for what follows
    waves = dctn(luma, axes=(-2, -1), norm="ortho")[..., :_NUM_WAVES, :_NUM_WAVES]
    flat: NDArray[np.float32] = waves.reshape(*waves.shape[:-2], NUM_COEFFICIENTS)
    return flat


def hue_deviation(cells_of_frames: NDArray[np.uint8]) -> float:
    """The upper quartile, over cells, of how far hues are from a linear function of the luma, in grey levels.

    It is 0 for grey and sepia, and ignores a coloured logo on grey.
    """
    colours = cells_of_frames.reshape(-1, 3).astype(np.float32)
    luma = colours @ _LUMA
    hues = colours[:, [0, 2]] - luma[:, None]  # red and blue, as in YCbCr
    known = np.column_stack([luma, np.ones_like(luma)])
    left = hues - known @ np.linalg.lstsq(known, hues, rcond=None)[0]
    return float(np.quantile(np.linalg.norm(left, axis=1), 0.75))


def coarse_luma(signatures_of_frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The luma by its signature, in 8x8 cells: (N, 64) -> (N, 8, 8)."""
    waves = signatures_of_frames.reshape(-1, _NUM_WAVES, _NUM_WAVES)
    fine = idctn(waves, s=(SIDE, SIDE), axes=(-2, -1), norm="ortho")
    coarse: NDArray[np.float32] = fine.reshape(len(fine), _NUM_WAVES, 2, _NUM_WAVES, 2).mean(axis=(2, 4))
    return coarse


def _black_ends(luma: NDArray[np.float32]) -> tuple[float, float]:
    """The shares of rows at the beginning and at the end of (N, rows, columns) that are black in every frame."""
    tones = np.quantile(luma, _BLACK_SHARE, axis=2).max(axis=0)
    visible = np.flatnonzero(tones > _BLACK)
    num = luma.shape[1]
    if not len(visible):
        return 0.0, 0.0
    # The row next to a bar is half bar: it is left out too.
    ends = [(gap + 1) / num if gap else 0.0 for gap in (int(visible[0]), num - 1 - int(visible[-1]))]
    first, last = (end if end <= _MAX_BARS else 0.0 for end in ends)
    return first, last


@dataclass(frozen=True, eq=False)
class Track:
    """A source as it is compared with others: T frames in order of time."""

    record: SourceRecord
    frame_indices: NDArray[np.int64]  # (T,)
    seconds: NDArray[np.float64]  # (T,)
    signatures: NDArray[np.float16]  # (T, 2, 64): of the full picture, and of its middle
    bars: Bars
    hues: float  # as `hue_deviation` states them, in grey levels; 0 is grey, or of one tone


@dataclass(frozen=True, eq=False)
class Cells:
    """Some frames of one source, in order of time."""

    record: SourceRecord
    frame_indices: NDArray[np.int64]  # (B,)
    seconds: NDArray[np.float64]  # (B,)
    means: NDArray[np.uint8]  # (B, 16, 16, 3)


def read_tracks(
    library: Store,
    sources: Sequence[SourceRecord] | None = None,
    *,
    on_cells: Callable[[Cells], None] = lambda _: None,
    progress: Report = silent,
) -> Iterator[Track]:
    """The tracks of sources. Memory: the thumbnails of a thousand frames, and the track of one source.

    Args:
        library: which one.
        sources: of it; all by default.
        on_cells: called with the cells of all frames on the way, a few at a time.
        progress: called after each batch of frames.

    Raises:
        LibraryError: thumbnails of a source are missing, or are of none of its frames.
    """
    num_done = 0
    for records in _grouped(library.sources if sources is None else sources):
        ids = [record.id for record in records]
        times = library.tables.times_of(ids)
        thumbnails = library.tables.thumbnails_of(ids, batch_size=_ROWS_AT_ONCE)
        lacking = {record.name for record in records if record.num_frames}
        by_id = {record.id: record for record in records}
        for source, batches in groupby(thumbnails, key=lambda rows: rows.source):
            record, parts = by_id[source], []
            bars: Bars | None = None
            lacking.discard(record.name)
            indices, seconds = times[record.id]
            for rows in batches:
                if bars is None:
                    bars = _bars(library, record, indices, rows.jpegs)
                if not np.isin(rows.frame_indices, indices).all():
                    raise LibraryError(f"thumbnails are of frames that are not there; {CHECK}")
                part = _part(record, rows, seconds[np.searchsorted(indices, rows.frame_indices)], bars)
                on_cells(part[0])
                parts.append(part)
                num_done += len(rows.jpegs)
                progress(Progress("reading", num_done, library.num_frames))
            if bars is not None:
                yield _track(record, parts, bars)
        if lacking:
            raise LibraryError(f"{printable(min(lacking))} has no thumbnails; {CHECK}")


def recompressed(library: Store, *, num_frames: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The cells of some of the library's frames, and of the same poorly re-encoded: each (N, 16, 16, 3).

    Raises:
        LibraryError: there are none.
    """
    before, after = [], []
    for record in library.sources[:: -(-len(library.sources) // num_frames)]:
        indices = library.tables.times_of([record.id])[record.id][0]
        num = max(1, num_frames // len(library.sources))
        chosen = np.unique(indices[np.linspace(0, len(indices) - 1, num).astype(int)]).tolist() if len(indices) else []
        for jpeg in library.tables.jpegs(record.id, chosen).values():
            before.append(cells(decode_small(jpeg), Bars()))
            after.append(cells(decode_small(_recompressed(jpeg)), Bars()))
    if not before:
        raise LibraryError(f"no source has its thumbnails; {CHECK}")
    return np.stack(before), np.stack(after)


def _saved(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "jpeg", quality=quality)
    return content.getvalue()


def _recompressed(jpeg: bytes) -> bytes:
    """The thumbnail of a poor copy: enlarged to twice the size, saved at quality 50, reduced and saved again."""
    image = Image.fromarray(as_picture(jpeg))
    large = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    again = Image.open(io.BytesIO(_saved(large, 50))).resize(image.size, Image.Resampling.BOX)
    return _saved(again, 75)


def _grouped(records: Sequence[SourceRecord]) -> Iterator[list[SourceRecord]]:
    """Small sources together in one query: a folder of pictures is thousands of them."""
    some: list[SourceRecord] = []
    for record in records:
        if some and sum(one.num_frames for one in some) + record.num_frames > _ROWS_AT_ONCE:
            yield some
            some = []
        some.append(record)
    if some:
        yield some


def _bars(library: Store, record: SourceRecord, indices: NDArray[np.int64], jpegs: Sequence[bytes]) -> Bars:
    """Of evenly spaced frames of the source, whose first thumbnails are `jpegs`."""
    if len(jpegs) < len(indices):
        chosen = indices[np.linspace(0, len(indices) - 1, _NUM_FOR_BARS).astype(int)].tolist()
        jpegs = list(library.tables.jpegs(record.id, sorted(set(chosen))).values())
    step = -(-len(jpegs) // _NUM_FOR_BARS)
    pictures = [as_picture(jpeg) for jpeg in jpegs[::step]]
    return find_bars(np.stack([one for one in pictures if one.shape == pictures[0].shape]))


def _part(
    record: SourceRecord, rows: ThumbnailRows, seconds: NDArray[np.float64], bars: Bars
) -> tuple[Cells, NDArray[np.float16]]:
    pictures = [decode_small(jpeg) for jpeg in rows.jpegs]
    full = np.stack([cells(picture, bars) for picture in pictures])
    middle = np.stack([cells(picture, bars, part=MIDDLE) for picture in pictures])
    both = np.stack([signatures(full), signatures(middle)], axis=1).astype(np.float16)
    return Cells(record, rows.frame_indices, seconds, full), both


def _track(record: SourceRecord, parts: Sequence[tuple[Cells, NDArray[np.float16]]], bars: Bars) -> Track:
    frame_indices = np.concatenate([part.frame_indices for part, _ in parts])
    order = np.argsort(frame_indices)
    hues = [hue_deviation(part.means) for part, _ in parts]
    return Track(
        record,
        frame_indices[order],
        np.concatenate([part.seconds for part, _ in parts])[order],
        np.concatenate([both for _, both in parts])[order],
        bars,
        float(np.average(hues, weights=[len(part.seconds) for part, _ in parts])),
    )
