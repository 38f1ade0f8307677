"""The signatures of all frames of a library, source by source, from its thumbnails."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.retrieval.copies.signature import (
    MIDDLE,
    Bars,
    cells,
    decode_small,
    find_bars,
    signatures,
    spread_of_hues,
)
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord
from firstsight.retrieval.store.tables import Tables, told_as_ours

# Of one source so many pictures tell where its bars are.
_NUM_FOR_BARS = 24
_ROWS_AT_ONCE = 1_024  # thumbnails held in memory, 4 to 8 MB


@dataclass(frozen=True, eq=False)
class Track:
    """A source as it is compared with others: T frames in order of time."""

    record: SourceRecord
    frame_indices: NDArray[np.int64]  # (T,)
    seconds: NDArray[np.float64]  # (T,)
    signatures: NDArray[np.float16]  # (T, 2, 64): of the whole picture, and of its middle
    bars: Bars
    hues: float  # how far they are from what the luma tells, in grey levels; 0 is grey, or of one tone


@dataclass(frozen=True, eq=False)
class Cells:
    """Some frames of one source, in order of time."""

    record: SourceRecord
    frame_indices: NDArray[np.int64]  # (B,)
    seconds: NDArray[np.float64]  # (B,)
    means: NDArray[np.uint8]  # (B, 16, 16, 3)


def read_tracks(
    library: Library,
    *,
    looking: Callable[[Cells], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Track]:
    """The tracks of all sources. Memory: the thumbnails of a thousand frames, and what is made of one source.

    Args:
        library: which one.
        looking: is shown all frames on the way, a few at a time.
        progress: is told how many frames are done.
    """
    num_done = 0
    for records in _together(library.sources):
        seconds = _seconds(library.tables, records)
        for record, batches in _thumbnails(library.tables, records):
            parts = []
            bars: Bars | None = None
            for frame_indices, jpegs in batches:
                if bars is None:
                    bars = _bars(library.tables, record, jpegs, whole=len(jpegs) == record.num_frames)
                times = np.array([seconds[record.id, int(index)] for index in frame_indices])
                part = _part(record, frame_indices, times, jpegs, bars)
                looking(part[0])
                parts.append(part)
                num_done += len(jpegs)
                progress(num_done)
            if bars is not None:
                yield _track(record, parts, bars)


def saved_anew(library: Library, *, num_frames: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The cells of some of the library's frames, and of the same enlarged and poorly saved: each (N, 16, 16, 3)."""
    before, after = [], []
    for record in library.sources[:: -(-len(library.sources) // num_frames)]:
        rows = library.tables.frames.search().where(f"source = {record.id}").select(["frame"]).to_arrow()
        indices = np.sort(rows.column("frame").to_numpy())
        num = max(1, num_frames // len(library.sources))
        chosen = np.unique(indices[np.linspace(0, len(indices) - 1, num).astype(int)]).tolist() if len(indices) else []
        for jpeg in library.tables.jpegs(record.id, chosen).values():
            before.append(cells(decode_small(jpeg), Bars()))
            after.append(cells(decode_small(_poorly_saved(jpeg)), Bars()))
    return np.stack(before), np.stack(after)


def _saved(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "jpeg", quality=quality)
    return content.getvalue()


def _poorly_saved(jpeg: bytes) -> bytes:
    """As another thumbnail of a poor copy would be: twice as large, saved at quality 50, made small and saved again."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    large = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    again = Image.open(io.BytesIO(_saved(large, 50))).resize(image.size, Image.Resampling.BOX)
    return _saved(again, 75)


def _together(records: Sequence[SourceRecord]) -> Iterator[list[SourceRecord]]:
    """Small sources in one query: a folder of pictures is thousands of them."""
    some: list[SourceRecord] = []
    for record in records:
        if some and sum(one.num_frames for one in some) + record.num_frames > _ROWS_AT_ONCE:
            yield some
            some = []
        some.append(record)
    if some:
        yield some


def _seconds(tables: Tables, records: Sequence[SourceRecord]) -> dict[tuple[int, int], float]:
    with told_as_ours(tables.folder):
        rows = tables.frames.search().where(_of(records)).select(["source", "frame", "seconds"]).to_arrow()
    columns = (rows.column(name).to_pylist() for name in ("source", "frame", "seconds"))
    return {(source, frame): seconds for source, frame, seconds in zip(*columns, strict=True)}


_Batch = tuple[NDArray[np.int64], list[bytes]]


def _thumbnails(tables: Tables, records: Sequence[SourceRecord]) -> Iterator[tuple[SourceRecord, Iterator[_Batch]]]:
    """For each source its thumbnails; those of several small ones from one query, those of a large one bit by bit."""
    query = tables.thumbnails.search().where(_of(records)).select(["source", "frame", "jpeg"])
    if len(records) == 1:
        with told_as_ours(tables.folder):
            yield records[0], (_batch(rows) for rows in query.to_batches(_ROWS_AT_ONCE) if len(rows))
        return
    with told_as_ours(tables.folder):
        rows = query.to_arrow().sort_by([("source", "ascending"), ("frame", "ascending")])
    sources = rows.column("source").to_numpy()
    for record in records:
        first, last = np.searchsorted(sources, [record.id, record.id + 1])
        if last > first:
            yield record, iter([_batch(rows.slice(first, last - first))])


def _batch(rows: Any) -> _Batch:  # noqa: ANN401  # a pyarrow table or batch
    frame_indices = rows.column("frame").to_numpy()
    order = np.argsort(frame_indices)
    jpegs = rows.column("jpeg").to_pylist()
    return frame_indices[order], [jpegs[position] for position in order]


def _bars(tables: Tables, record: SourceRecord, jpegs: Sequence[bytes], *, whole: bool) -> Bars:
    """From pictures spread over the source."""
    if not whole:
        with told_as_ours(tables.folder):
            rows = tables.frames.search().where(_of([record])).select(["frame"]).to_arrow()
        indices = np.sort(rows.column("frame").to_numpy())
        chosen = indices[np.linspace(0, len(indices) - 1, _NUM_FOR_BARS).astype(int)].tolist()
        jpegs = list(tables.jpegs(record.id, sorted(set(chosen))).values())
    step = -(-len(jpegs) // _NUM_FOR_BARS)
    pictures = [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs[::step]]
    return find_bars(np.stack([one for one in pictures if one.shape == pictures[0].shape]))


def _part(
    record: SourceRecord,
    frame_indices: NDArray[np.int64],
    seconds: NDArray[np.float64],
    jpegs: Sequence[bytes],
    bars: Bars,
) -> tuple[Cells, NDArray[np.float16]]:
    pictures = [decode_small(jpeg) for jpeg in jpegs]
    whole = np.stack([cells(picture, bars) for picture in pictures])
    middle = np.stack([cells(picture, bars, part=MIDDLE) for picture in pictures])
    both = np.stack([signatures(whole), signatures(middle)], axis=1).astype(np.float16)
    return Cells(record, frame_indices, seconds, whole), both


def _track(record: SourceRecord, parts: Sequence[tuple[Cells, NDArray[np.float16]]], bars: Bars) -> Track:
    frame_indices = np.concatenate([part.frame_indices for part, _ in parts])
    order = np.argsort(frame_indices)
    hues = [spread_of_hues(part.means) for part, _ in parts]
    return Track(
        record,
        frame_indices[order],
        np.concatenate([part.seconds for part, _ in parts])[order],
        np.concatenate([both for _, both in parts])[order],
        bars,
        float(np.average(hues, weights=[len(part.seconds) for part, _ in parts])),
    )


def _of(records: Sequence[SourceRecord]) -> str:
    return f"source IN ({', '.join(str(record.id) for record in records)})"
