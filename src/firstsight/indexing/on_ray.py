"""Videos embedded by a Ray cluster: shards of ten minutes, by as many workers as there are processors.

This process stays the only writer of the library. A shard is idempotent: it reads its part of the video and returns
rows, so one whose worker died is embedded again, and what is written is written once. Frames are those of reading the
video in one go; what a shard cannot promise (a file that does not seek exactly), this process reads by itself.
"""

import logging
import math
import os
import socket
import sys
import tempfile
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, redirect_stdout, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from firstsight.encoder.encoder import Encoder
from firstsight.errors import FirstsightError, SettingsError, SourceError, UnreachableError
from firstsight.footage.container import OpenVideo, SeekMissedError, open_video
from firstsight.footage.frames import Frame
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.indexing.writer import (
    EmbeddedBatch,
    ResumedSampling,
    ResumePointMissingError,
    embed_source,
)
from firstsight.library.records import FrameRows
from firstsight.library.source_files import FootageFile
from firstsight.library.store import Store
from firstsight.text import printable

_SHARD_SECONDS = 600.0
_CONNECTING_SECONDS = 5.0
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # GPUs are not asked for; without it Ray warns
    "RAY_raylet_start_wait_time_s": "180",  # a busy machine needs more than the usual 30
    "RAY_gcs_server_port_wait_time_s": "180",
}
_MAX_SHARDS = 10_000  # of a video: 70 days
_MAX_FRAMES = 20_000  # in a shard, which is held in memory: some hundred megabytes
_AHEAD = 2  # shards sent for each processor
_MAX_RETRIES = 20  # of a shard whose worker died
FramePoint = tuple[int, float]  # index and seconds of a frame
# Before a shard: its first frame is then that of reading from the beginning, as one ahead of it shows.
_MARGIN_STEPS, _MARGIN_SECONDS = 2, 5.0


@dataclass(frozen=True)
class Shard:
    """A part of a video: the frames of some steps of its sampling."""

    path: Path
    name: str
    sampling: Sampling
    first_step: int | None = None  # None from the beginning
    end_step: int | None = None  # not included; None to the end

    @property
    def read_sampling(self) -> Sampling:
        """With the steps before the first, from which is seen that reading landed where it should."""
        rate = self.sampling.frames_per_second
        if rate is None or (self.first_step is None and self.end_step is None):
            return self.sampling
        margin = max(_MARGIN_STEPS / rate, _MARGIN_SECONDS)
        start = None if self.first_step is None else max(0.0, self.first_step / rate - margin)
        end = None if self.end_step is None else self.end_step / rate
        return ResumedSampling(start, end, frames_per_second=rate, keyframes=self.sampling.keyframes)

    def own(self, frames: Iterator[Frame], before: list[FramePoint]) -> Iterator[Frame]:
        """The shard's own of the frames that were read; the last one ahead of them is put into `before`."""
        for frame in frames:
            step = self.read_sampling.step(0, frame.seconds)
            if self.first_step is not None and step < self.first_step:
                before[:] = [(frame.index, frame.seconds)]
            elif self.end_step is None or step < self.end_step:
                yield frame

    def num_lost_before(self) -> int:
        """How many frames ahead of its own could not be decoded: they are those of the shard before."""
        if self.first_step is None:
            return 0
        reading = replace(self, end_step=self.first_step).source.read()
        with closing(reading), suppress(SourceError):  # there is none
            for _ in reading:
                pass
        return reading.num_skipped

    @property
    def source(self) -> VideoFiles:
        """What is read."""
        return VideoFiles(self.name, (VideoFile(self.path, self.name, self.read_sampling),))


def shards_of(path: Path, name: str, sampling: Sampling, *, seconds: float = _SHARD_SECONDS) -> list[Shard]:
    """The parts of a video, in order; one of a short one whose frames are counted rather than timed.

    None of a video that this process reads by itself, as its shards would be too long, or too many.
    """
    rate, whole = sampling.frames_per_second, Shard(path, name, sampling)
    try:
        with open_video(path, name=name) as video:
            end, count = _end_of(video), video.num_frames()
    except FirstsightError:
        return [whole]  # embedding it says why
    except Exception:  # a decoder may raise anything
        return []
    if rate is None:
        return [whole] if count and count <= _MAX_FRAMES * (sampling.every or 1) else []
    seconds = min(seconds, _MAX_FRAMES / rate)
    if end is None or end > _MAX_SHARDS * seconds:
        return []
    num = max(1, math.ceil(end / seconds))
    steps = [math.ceil(number * seconds * rate) for number in range(1, num)]
    return [
        replace(whole, first_step=first, end_step=last)
        for first, last in zip([None, *steps], [*steps, None], strict=True)
    ]


def _end_of(video: OpenVideo) -> float | None:
    """The stated end; None where no keyframe is near: it is made up, or shards could not begin on the way."""
    end = video.end_seconds
    try:
        return end if end is not None and end - video.landing_near(end).seconds <= _SHARD_SECONDS else None
    except SeekMissedError:
        return None


@dataclass(frozen=True, eq=False)
class Embedded:
    """A shard's rows, or why there are none."""

    batches: tuple[EmbeddedBatch, ...] = ()
    before: FramePoint | None = None  # the last sampled frame ahead of the shard
    reason: str = ""


@dataclass(frozen=True)
class Task:
    """What every shard of a run is embedded with."""

    model: Mapping[str, bytes]  # the encoder, as the files of its folder
    fingerprint: str  # of the encoder
    thumbnail_size: int  # pixels of the longer side
    with_layouts: bool

    @classmethod
    def of(cls, library: Store) -> Self:
        """Of a library's own encoder."""
        with tempfile.TemporaryDirectory() as folder:
            library.encoder.save(folder)
            files = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
        return cls(files, library.fingerprint, library.config.thumbnail_size, library.has_layouts)

    def embed(self, shard: Shard) -> Embedded:
        """The rows of a shard, or why it cannot be read here: then the process that asks reads the video itself."""
        before: list[FramePoint] = []
        try:
            batches = tuple(
                embed_source(
                    self._encoder(),
                    shard.source,
                    thumbnail_size=self.thumbnail_size,
                    choose=lambda frames: shard.own(frames, before),
                    with_layouts=self.with_layouts,
                )
            )
            num_before = shard.num_lost_before() if batches[-1].num_skipped else 0
        except Exception as error:  # a decoder may raise anything
            return Embedded(reason=str(error) if isinstance(error, FirstsightError) else repr(error))
        own = tuple(EmbeddedBatch(one.rows, max(0, one.num_skipped - num_before)) for one in batches)
        return Embedded(own, before[0] if before else None)

    def _encoder(self) -> Encoder:
        """Loaded once in each process."""
        if self.fingerprint not in _ENCODERS:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in self.model.items():
                    Path(folder, name).write_bytes(content)
                _ENCODERS.clear()
                _ENCODERS[self.fingerprint] = Encoder.load(folder)
        return _ENCODERS[self.fingerprint]


_ENCODERS: dict[str, Encoder] = {}  # of a worker's process, by fingerprint: one at most


def _embed(task: Task, shard: Shard) -> Embedded:
    return task.embed(shard)


class OnRay:
    """Embeds the videos of one run of indexing, in its order, some shards ahead of it.

    Meanwhile what is printed to standard output goes to standard error: Ray prints there that a worker died.
    """

    def __init__(self, library: Store, videos: Sequence[tuple[FootageFile, Sampling]], *, address: str | None) -> None:
        self._shards = deque(shard for file, sampling in videos for shard in shards_of(file.path, file.name, sampling))
        self._counts = Counter((shard.path, shard.sampling) for shard in self._shards)
        self._pending: deque[tuple[Shard, Any]] = deque()  # each with the reference to its result
        self._dim, task = library.dim, Task.of(library)
        with ExitStack() as opened:
            opened.enter_context(redirect_stdout(sys.stderr))  # until Ray is shut down, where it still prints
            self._ray = _started(address)
            opened.callback(self._ray.shutdown)
            self._task = self._ray.put(task)
            self._embed = self._ray.remote(_embed).options(num_cpus=1, max_retries=_MAX_RETRIES)
            self._open = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, source: Source) -> Iterator[EmbeddedBatch] | None:
        """The batches of a video, once; None of what has no shards, or had them already.

        Raises:
            UnreachableError: Ray is in trouble.
            ResumePointMissingError: its shards do not join, or one could not be read.
        """
        files = source.files if isinstance(source, VideoFiles) else ()
        video = (files[0].path, files[0].sampling) if len(files) == 1 else None
        num_shards = self._counts.pop(video, 0) if video else 0
        if not video or not num_shards:
            return None
        return joined((self._result(video) for _ in range(num_shards)), dim=self._dim)

    def _result(self, video: tuple[Path, Sampling]) -> Embedded:
        """Of the video's next shard; those of videos before it that turned out to be copies are passed over."""
        while True:
            self._send()
            shard, result = self._pending.popleft()
            if (shard.path, shard.sampling) == video:
                break
            self._ray.cancel(result)
        self._send()
        try:
            embedded: Embedded = self._ray.get(result)
        except self._ray.exceptions.RayError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UnreachableError(f"{shard.name} cannot be embedded by Ray: {reason}") from error
        return embedded

    def _send(self) -> None:
        """Shards to the cluster, enough that no processor of those that it has now waits."""
        most = _AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        while self._shards and len(self._pending) < most:
            shard = self._shards.popleft()
            self._pending.append((shard, self._embed.remote(self._task, shard)))


def joined(results: Iterator[Embedded], *, dim: int) -> Iterator[EmbeddedBatch]:
    """The batches of a video from those of its shards, each of which has to begin where the one before it ended."""
    last: FramePoint | None = None
    num_skipped = 0
    for position, result in enumerate(results):
        if result.reason or (position and result.before != last):
            raise ResumePointMissingError
        for batch in result.batches:
            if len(batch.rows):
                last = batch.rows.frame_indices[-1], batch.rows.seconds[-1]
                yield EmbeddedBatch(batch.rows, num_skipped + batch.num_skipped)
        num_skipped += result.batches[-1].num_skipped
    yield EmbeddedBatch(FrameRows(np.empty((0, dim), np.float32), (), (), ()), num_skipped)


def check_engine(on: str | None) -> str | None:
    """What `on` names, as far as that is seen without starting anything.

    Raises:
        SettingsError: it is neither None nor "ray" nor "ray:ADDRESS"; Ray is not installed, or nothing listens there.
    """
    if on is None:
        return None
    name, colon, address = on.partition(":")
    if name != "ray" or bool(colon) != bool(address):
        raise SettingsError(f"--on {printable(on)}: valid are ray, which is this machine alone, and ray:ADDRESS")
    if find_spec("ray") is None:
        raise SettingsError("--on ray needs Ray, which is not installed: pip install 'firstsight[ray]'")
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():  # else a word of Ray's, such as "auto"
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECTING_SECONDS).close()
        except (OSError, OverflowError) as error:  # Ray itself would go on asking for many minutes
            raise SettingsError(f"no Ray at {printable(address)}: {error}; start it there: ray start --head") from error
    return on


def _started(address: str | None) -> ModuleType:
    """Ray, connected; it reports nothing to anybody, and what its workers print is not shown.

    Raises:
        SettingsError: it does not start, or nothing answers there.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address and (Path.home() / ".ray" / "auth_token").exists():  # Ray itself looks there for "auto" alone
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = import_module("ray")
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with warnings.catch_warnings():  # Ray forks before it starts its processes, which run nothing of LanceDB
            warnings.filterwarnings("ignore", message="lancedb fork support")
            ray.init(address or "local", **quiet, **({} if address else {"include_dashboard": False}))
    except Exception as error:  # a plain one, if its own processes do not start in time
        where = printable(address or "this machine")
        raise SettingsError(f"no Ray at {where}: {(str(error).splitlines() or [''])[0]}") from error
    return ray
