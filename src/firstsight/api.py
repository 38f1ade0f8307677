"""The library in Python: footage indexed once, then searched, compared and explored.

What needs the arithmetic of the encoder is imported where it is used: it takes seconds to load.
"""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

from firstsight.errors import RunError, SettingsError, brief
from firstsight.exploration.clusters import Clusters, find_clusters
from firstsight.exploration.keyframes import Keyframes, find_keyframes
from firstsight.exploration.layout import FrameMap, map_frames
from firstsight.export.clips import cut_moments, write_pictures
from firstsight.export.tables import Exported, export_library
from firstsight.files import Closing, check_path
from firstsight.indexing.estimate import Indexed
from firstsight.library import maintenance
from firstsight.library import set_apart as apart
from firstsight.library.records import SourceRecord
from firstsight.library.selection import Between, Name, Names, Where
from firstsight.library.store import Store
from firstsight.progress import Report, silent
from firstsight.searching.moments import GAP_SECONDS
from firstsight.searching.nearest import Nearest, find_nearest
from firstsight.searching.query import Picture, read_query, stored_anchors, stored_query
from firstsight.searching.regions import Box, BoxSpec
from firstsight.searching.search import FALSE_MATCH_RATE, Match, SearchResult, part_of_moment, part_of_query, search

if TYPE_CHECKING:
    from firstsight.comparison.similarities import Similarities
    from firstsight.copies.duplicates import Duplicates
    from firstsight.encoder.encoder import Encoder
    from firstsight.indexing.index_files import FootageSpec, RemovedMissing


class Library(Closing):
    """The embedded frames of many videos and pictures, in a folder, with the encoder that embeds them.

    It shows the state at the time when it was opened, or of its own last change or `refresh`, whatever other processes
    write meanwhile. Long operations call `progress` with a `firstsight.progress.Progress` now and then; to cancel, the
    callback raises `firstsight.progress.Cancelled`. `sources` are names, or patterns such as "gate-*.mp4"; `between`
    two times in seconds of each source, either of which may be None.

    Attributes:
        indexed: the result of the last `create`, `add` or `reindex`.

    Example:
        >>> with Library.create("walks.library", "walks/") as library:  # doctest: +SKIP
        ...     for match in library.search("walks/gate.mp4@83.2", k=3).matches:
        ...         print(match.source, match.seconds, match.similarity)
    """

    def __init__(self, store: Store, indexed: Indexed | None = None) -> None:
        self._store = store
        self.indexed = indexed or Indexed(store.name, len(store.sources), store.num_frames)

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Self:
        """The library in the folder. Raises a LibraryError if there is none, or it is damaged or of another version."""
        return cls(Store.open(folder))

    @classmethod
    def create(
        cls,
        folder: str | PathLike[str],
        sources: "FootageSpec" = (),
        *,
        encoder: "Encoder | None" = None,
        frames_per_second: float | None = None,
        every: int | None = None,
        keyframes: bool = False,
        seed: int = 0,
        on: str | None = None,
        progress: Report = silent,
    ) -> Self:
        """A new library of that footage; see `firstsight.indexing.index_files.create` for its errors.

        Args:
            folder: a new one, or an empty one.
            sources: videos, pictures, folders, patterns; may be empty if an encoder is given.
            encoder: by default one is learned from all frames of the sources.
            frames_per_second: of each video the first frame at or after each tick of this rate; by default 2.
            every: or one frame in so many.
            keyframes: of the keyframes alone, which takes a small part of the time.
            seed: of learning.
            on: "ray" or "ray:ADDRESS": where videos are embedded, by default in this process.
            progress: called now and then.
        """
        from firstsight.indexing import index_files

        store, indexed = index_files.create(
            folder,
            sources,
            encoder=encoder,
            frames_per_second=frames_per_second,
            every=every,
            keyframes=keyframes,
            seed=seed,
            on=on,
            progress=progress,
        )
        return cls(store, indexed)

    def add(
        self,
        sources: "FootageSpec",
        *,
        frames_per_second: float | None = None,
        every: int | None = None,
        keyframes: bool = False,
        retry: bool = False,
        on: str | None = None,
        progress: Report = silent,
    ) -> Indexed:
        """Adds videos and pictures, or updates changed ones; see `firstsight.indexing.index_files.add`.

        Unchanged sources are not decoded again. A rate applies to these sources from now on. Files that could not be
        read before are skipped until they change, or with `retry`, unless the disk was at fault.
        """
        from firstsight.indexing import index_files

        self.indexed = index_files.add(
            self.store,
            sources,
            frames_per_second=frames_per_second,
            every=every,
            keyframes=keyframes,
            retry=retry,
            on=on,
            progress=progress,
        )
        return self.indexed

    def reindex(
        self,
        encoder: "Encoder | None" = None,
        sources: "FootageSpec" = (),
        *,
        frames_per_second: float | None = None,
        every: int | None = None,
        keyframes: bool = False,
        seed: int = 0,
        on: str | None = None,
        progress: Report = silent,
    ) -> Indexed:
        """Re-embeds all sources with another encoder, and adds new ones; see `firstsight.indexing.reindex`.

        By default the encoder is learned from all of them. A rate applies to the new sources only.
        """
        from firstsight.indexing.reindex import reindex

        before = self.store
        before.check_open()
        try:
            self._store, self.indexed = reindex(
                before,
                encoder,
                sources,
                frames_per_second=frames_per_second,
                every=every,
                keyframes=keyframes,
                seed=seed,
                on=on,
                progress=progress,
            )
        finally:
            if self._store is before and maintenance.is_reembedded(before):  # adding more has failed
                self._store = maintenance.refreshed(before)
        return self.indexed

    def remove(self, *names: Name) -> tuple[SourceRecord, ...]:
        """Removes sources by name or pattern, and returns them; their files are not touched.

        Raises:
            LibraryError: a name or pattern fits no source; then nothing is removed.
            SettingsError: no name is given.
        """
        from firstsight.indexing import index_files

        return tuple(index_files.remove(self.store, names))

    def remove_missing(self, *, is_sure: bool = False) -> "RemovedMissing":
        """Removes the sources whose files are gone; if all files of a folder are gone, only with `is_sure`."""
        from firstsight.indexing import index_files

        return index_files.remove_missing(self.store, is_sure=is_sure)

    def search(
        self,
        query: Picture,
        *,
        box: BoxSpec | None = None,
        k: int = 10,
        sources: Names | None = None,
        between: Between | None = None,
        nearest: bool = False,
        not_itself: bool = False,
        false_match_rate: float = FALSE_MATCH_RATE,
        gap_seconds: float = GAP_SECONDS,
        progress: Report = silent,
    ) -> SearchResult:
        """The moments most like a picture; none, if no frame exceeds the threshold of the library.

        Args:
            query: a picture's path, a frame of a video as "walk.mp4@83.2", or pixels, uint8 (H, W, 3) or (H, W).
            box: search for what is in this box only, (x, y, width, height) in pixels, anywhere in every frame.
            k: how many moments, from 1.
            sources: which ones; all by default.
            between: two times in seconds of each source.
            nearest: fill up to k with the nearest that are no match, in `SearchResult.below`.
            not_itself: leave out the query's own file, and copies of it.
            false_match_rate: of searches whose answer is not in the library, the share that may get a match.
            gap_seconds: of frames that do not match, within a moment.
            progress: called now and then.

        Raises:
            SourceError, PixelsError: the query cannot be read, or is no picture.
            SettingsError: an option outside its range, or a box that is not in the picture.
            LibraryError: no frame is left to search, or a source that is not in the library.
        """
        return search(
            self.store,
            stored_query(query, self.store) if box is None else read_query(query, self.encoder),
            box=None if box is None else Box.of(box),
            k=k,
            where=Where.of(sources, between),
            nearest=nearest,
            not_itself=not_itself,
            false_match_rate=false_match_rate,
            gap_seconds=gap_seconds,
            progress=progress,
        )

    def nearest(
        self, query: Picture, *, k: int = 10, sources: Names | None = None, between: Between | None = None
    ) -> Nearest:
        """The k frames most like a picture, without a threshold. The query is as for `search`."""
        vector = stored_query(query, self.store).vector
        return find_nearest(self.store, vector, k=k, where=Where.of(sources, between))

    def similarities(
        self, anchors: Picture | Sequence[Picture], *, sources: Names | None = None, between: Between | None = None
    ) -> "Similarities":
        """The similarity of every frame to each anchor; anchors are as queries of `search`, or folders of pictures.

        One picture, or one name, is one anchor.
        """
        from firstsight.comparison.similarities import Similarities, similarity_table

        vectors = stored_anchors(anchors, self.store)
        frames = self.store.embeddings(Where.of(sources, between))
        return Similarities(self.store.name, similarity_table(frames, vectors))

    def duplicates(self, *, progress: Report = silent) -> "Duplicates":
        """Which sources are copies of others, which to keep, and which frames repeat others."""
        from firstsight.copies.duplicates import find_duplicates

        return find_duplicates(self.store, progress=progress)

    def set_apart(self, first: str | SearchResult, second: str | Match) -> None:
        """Remembers that two are not the same, until `reunite`: `duplicates` and `search` leave them out from then on.

        Sources are known by the content of their files: renamed ones stay apart, changed ones do not.

        Args:
            first: the name of a source; or what a search found.
            second: the name of the source that is no copy of it; or what is no match of the search's query, or of its
                box, if it had one.

        Raises:
            LibraryError: a source that is not in the library.
            SettingsError: a name beside a result or match; valid are two names, or a result and one of its matches.

        Example:
            >>> result = library.search("door.jpg")  # doctest: +SKIP
            >>> library.set_apart(result, result.matches[0])  # doctest: +SKIP
        """
        apart.set_apart(self.path, *self._parts(first, second))

    def reunite(self, first: str | SearchResult, second: str | Match) -> bool:
        """Forgets that two were set apart; whether they were. Arguments and errors are those of `set_apart`."""
        return apart.reunite(self.path, *self._parts(first, second))

    def _parts(self, first: str | SearchResult, second: str | Match) -> tuple[apart.Part, apart.Part]:
        if isinstance(first, str) and isinstance(second, str) and first != second:
            part = apart.part_of_source
            return part(self.store.source(first)), part(self.store.source(second))
        if isinstance(first, SearchResult) and isinstance(second, Match):
            return part_of_query(first.query, first.box), part_of_moment(self.store, second.moment)
        raise SettingsError(
            f"{brief(first)} and {brief(second)} cannot be set apart; valid are the names of two sources, or the "
            "result of a search and one of its matches"
        )

    def keyframes(self, num: int, *, sources: Names | None = None, progress: Report = silent) -> Keyframes:
        """The most different moments, each the frame least like all before it."""
        return find_keyframes(self.store, num, where=Where.of(sources, None), progress=progress)

    def clusters(self, num: int | None = None, *, progress: Report = silent) -> Clusters:
        """Groups of similar frames; by default as many as have the largest silhouette."""
        return find_clusters(self.store, num, progress=progress)

    def map(
        self,
        *,
        sources: Names | None = None,
        between: Between | None = None,
        seed: int = 0,
        progress: Report = silent,
    ) -> FrameMap:
        """The frames in the plane, similar ones near each other; of many, 2,000 evenly spaced ones."""
        return map_frames(self.store, where=Where.of(sources, between), seed=seed, progress=progress)

    def export(
        self,
        out: str | PathLike[str],
        *,
        sources: Names | None = None,
        between: Between | None = None,
        progress: Report = silent,
    ) -> Exported:
        """Writes vectors, sources, frames and times: `.npz`, `.csv`, `.parquet`, or `samples.json` for FiftyOne."""
        path = check_path(out, name="table", error=RunError)
        return export_library(self.store, path, where=Where.of(sources, between), progress=progress)

    def cut(self, result: SearchResult, folder: str | PathLike[str], *, progress: Report = silent) -> tuple[Path, ...]:
        """The matches that are in videos as video files of their own; see `firstsight.export.clips`."""
        moments = [match.moment for match in result.matches]
        return tuple(cut_moments(self.store, moments, _folder(folder), progress=progress))

    def write_pictures(
        self, keyframes: Keyframes, folder: str | PathLike[str], *, progress: Report = silent
    ) -> tuple[Path, ...]:
        """The keyframes as JPEG files, in full size where their files are unchanged; see `firstsight.export.clips`."""
        frames = [(one.source, one.frame_index, one.seconds) for one in keyframes]
        return tuple(write_pictures(self.store, frames, _folder(folder), progress=progress))

    @property
    def path(self) -> Path:
        """Its folder, absolute."""
        return self._store.path

    @property
    def store(self) -> Store:
        """Its tables, for the functions of the other modules. Raises a LibraryError once the library is closed."""
        self._store.check_open()
        return self._store

    @property
    def encoder(self) -> "Encoder":
        """Of its frames and of queries."""
        return self._store.encoder

    @property
    def num_frames(self) -> int:
        """Frames of all sources."""
        return self._store.num_frames

    @property
    def sources(self) -> maintenance.Sources:
        """All sources, also those whose indexing was interrupted or failed, with the state of their files."""
        return maintenance.sources_of(self.store)

    def info(self) -> maintenance.LibraryInfo:
        """What it holds, what is unfinished, and the state of its files."""
        return maintenance.info(self.store)

    def check(self) -> maintenance.Checked:
        """Whether its settings, its encoder and every row of its tables are in order. Nothing is changed."""
        return replace(maintenance.check(self.store.path), library=self.store.name)

    def compact(self) -> maintenance.Compacted:
        """Frees disk space. What others are reading is kept."""
        return maintenance.compact(self.store)

    def refresh(self) -> None:
        """Shows its current state, also what other processes have written, be it by another encoder."""
        self._store = maintenance.refreshed(self.store)

    def close(self) -> None:
        """Releases the state that it shows, so that other processes can remove old files.

        From then on all but its encoder, path and size raises a LibraryError; `open` it again.
        """
        self._store.close()

    def __repr__(self) -> str:
        store = self._store
        held = f"{store.num_frames} frames of {len(store.sources)} sources, {store.dim} numbers each"
        return f"Library({store.name!r}, {held})"


def _folder(given: str | PathLike[str]) -> Path:
    return check_path(given, name="folder", error=RunError)
