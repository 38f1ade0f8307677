"""One run of the article's method: frames to the loop, checks to the folder, and how it resumes."""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from firstsight.article.loop import ArticleLoop, Step
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import ArticleSettings
from firstsight.article.stopping import Check, StoppingState
from firstsight.device import describe_machine
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare, to_inputs
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import RunError, SettingsError, SourceError
from firstsight.files import write_atomically
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Place, Source, files_digest, from_place
from firstsight.from_json import from_json
from firstsight.progress import Cancelled, Progress, Report, deferred_interrupt
from firstsight.quality import health

# Decoded frames kept ready, 150 kB each.
_DEPTH = 32
_MIN_FRAMES = 2


class Footage:
    """The frames of a source, through a view.

    Attributes:
        num_frames: in a pass: as the source states, then as the first complete pass gave; None if not known.
        num_skipped: frames of a pass that could not be decoded.
        skipped_by_file: the same, of each file that lost any.
        pass_length: frames of a pass, once one was read to its end.
        place: of the last frame drawn, None before the first: where reading begins.
    """

    def __init__(self, source: Source, view: CentralSquare, *, device: torch.device) -> None:
        self.source = source
        self.view = view
        self.device = device
        self.num_frames = source.num_frames()
        self.num_skipped = 0
        self.skipped_by_file: dict[str, int] = {}
        self.pass_length: int | None = None
        self.place: Place | None = None

    def batches(self, size: int, *, skip: int = 0) -> Generator[Tensor]:
        """Inputs (size, channels, H, W) without end: after the last frame comes the first.

        Args:
            size: frames in a batch; a batch may span the end of a pass.
            skip: frames that were drawn before. What follows `place` is read if the source can begin there; else the
                frames of the pass under way are decoded again, so that the same ones follow.

        Raises:
            SourceError: the source has fewer than two frames.
        """
        begin = from_place(self.source, self.place) if self.place else None
        with prefetch(self._endless(begin), depth=max(_DEPTH, 2 * size)) as frames:
            for _ in range(0 if begin else self.num_to_skip(skip)):
                next(frames)
            while True:
                drawn = [next(frames) for _ in range(size)]
                self.place = drawn[-1][1]
                yield self._inputs([frame for frame, _ in drawn])

    def sample(self, num_frames: int, *, size: int = 16) -> Iterator[Tensor]:
        """Batches of at most that many frames, spread evenly over one pass; the first, if its length is not stated."""
        total = self.source.num_frames()
        step = max(1, -(-total // num_frames)) if total else 1
        batch: list[Frame] = []
        with self.source.read(self.view) as reading:
            for position, frame in enumerate(reading):
                if position >= step * num_frames:
                    break
                if position % step == 0:
                    batch.append(frame)
                if len(batch) == size:
                    yield self._inputs(batch)
                    batch = []
        if batch:
            yield self._inputs(batch)

    def num_to_skip(self, num_drawn: int) -> int:
        """How many frames of the pass under way were drawn; all of all passes, if their length is not known."""
        return num_drawn % self.pass_length if self.pass_length else num_drawn

    @cached_property
    def files(self) -> str:
        """Which files there are, as a hash: whether they are the same after an interruption; see `files_digest`."""
        return files_digest(self.source)

    @property
    def skipped(self) -> tuple[int, dict[str, int]]:
        """How many frames of a pass could not be decoded, and of which files; before its end those until now."""
        if self.pass_length is None and self.place:
            return self.place.num_skipped, self.place.skipped_by_file
        return self.num_skipped, self.skipped_by_file

    @property
    def passed(self) -> dict[str, Any]:
        """What a complete pass gave, for `restore` after an interruption; empty before one."""
        if self.pass_length is None:
            return {}
        return {"num_frames": self.pass_length, "num_skipped": self.num_skipped, "by_file": self.skipped_by_file}

    def restore(self, passed: dict[str, Any], place: Place | None) -> None:
        """Takes over what a pass gave before an interruption, and how far the one under way was."""
        self.place = place
        if passed:
            self.num_frames = self.pass_length = from_json(int, passed["num_frames"], name="num_frames")
            self.num_skipped = from_json(int, passed["num_skipped"], name="num_skipped")
            self.skipped_by_file = from_json(dict, passed["by_file"], name="by_file")
            self.check()

    def check(self) -> None:
        """Raises a SourceError if there are known to be fewer than two frames."""
        if self.num_frames is not None and self.num_frames < _MIN_FRAMES:
            raise SourceError(
                f"{self.source.name} has {self.num_frames} frame to learn from; "
                f"give a video, or at least {_MIN_FRAMES} pictures"
            )

    def _endless(self, begin: Source | None) -> Iterator[tuple[Frame, Place]]:
        """Frames, each with its place; first what is left of a pass, if that can be read."""
        if begin:
            yield from self._read(begin, self.place)
        while True:
            yield from self._read(self.source)

    def _read(self, source: Source, before: Place | None = None) -> Iterator[tuple[Frame, Place]]:
        """A pass to its end, or what is left of it after that place."""
        num_frames, num_skipped = (before.num_frames, before.num_skipped) if before else (0, 0)
        earlier = before.skipped_by_file if before else {}
        num_known, by_file = 0, earlier
        place = before
        with closing(source.read(self.view)) as reading:
            for frame in before.rest_of(reading) if before else reading:
                num_frames += 1
                if reading.num_skipped > num_known:
                    num_known, by_file = reading.num_skipped, _added(earlier, reading.skipped_by_source)
                num_same = place.num_same + 1 if place and place.is_of(frame) else 1
                num_lost = num_skipped + num_known
                place = Place(frame.source, frame.seconds, num_frames, num_lost, by_file, num_same)
                yield frame, place
            self.num_skipped = num_skipped + reading.num_skipped
            self.skipped_by_file = _added(earlier, reading.skipped_by_source)
        self.num_frames = self.pass_length = num_frames
        self.check()

    def _inputs(self, frames: list[Frame]) -> Tensor:
        return to_inputs(np.stack([frame.pixels for frame in frames]), self.device)


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """The sums of both, as a new one."""
    return {**first, **{name: first.get(name, 0) + num for name, num in second.items()}}


def save_learning(
    folder: RunFolder,
    loop: ArticleLoop,
    footage: Footage,
    *,
    checks: Sequence[Check],
    frames_drawn: int,
    seconds: float = 0.0,
) -> None:
    """Writes the state of learning, which took so many seconds until now, atomically."""
    record = {
        "state": asdict(loop.state),
        "frames_drawn": frames_drawn,
        "seconds": seconds,
        "passed": footage.passed,
        "place": footage.place and asdict(footage.place),
        "files": footage.files,
        "checks": [asdict(check) for check in checks],
    }
    content = safetensors.torch.save(loop.tensors(), metadata={"learning": json.dumps(record)})
    write_atomically(folder.learning_file, content)


def load_learning(folder: RunFolder, loop: ArticleLoop, footage: Footage) -> tuple[int, list[Check], float]:
    """Restores the loop that `save_learning` saved, without later checks.

    Returns:
        Frames drawn, checks and seconds until then.

    Raises:
        RunError: nothing to resume, it is damaged, or the footage is another one.
    """
    path = folder.learning_file
    if not path.is_file():
        raise RunError(f"{folder.folder} has nothing to resume; learn it again with --force")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads(file.metadata()["learning"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        loop.restore(tensors)
        loop.state = from_json(StoppingState, record["state"], name="state")
        checks = [from_json(Check, check, name="check") for check in record["checks"]]
        frames_drawn = from_json(int, record["frames_drawn"], name="frames_drawn")
        seconds = from_json(float, record.get("seconds", 0.0), name="seconds")
        files, place = from_json(str, record.get("files", ""), name="files"), record.get("place")
        if files and files != footage.files:
            raise RunError(
                f"the footage of {folder.folder} is another than when learning began: files were added, taken away or "
                "replaced; put them back, or learn it again with --force"
            )
        footage.restore(record.get("passed", {}), place and from_json(Place, place, name="place"))
        folder.resume(len(checks))
    except (
        *(KeyError, TypeError, ValueError, IndexError, RuntimeError, RecursionError, OSError),
        *(SettingsError, safetensors.SafetensorError),
    ) as error:
        raise RunError(f"{path} is damaged; learn the run again with --force") from error
    return frames_drawn, checks, seconds


_SAVE_EVERY_SECONDS = 10.0  # the most that a crash costs
# Frames on which the levels' health is measured: enough for two digits of a mean.
_NUM_HEALTH_FRAMES = 200
# Of the footage, to measure on where nothing is held out.
_MEASURED_SHARE = 0.1


class ArticleRun:
    """Learns from a source, and keeps a folder up to date if there is one.

    Args:
        source: what to learn from.
        settings: of the method.
        seed: of the initial weights.
        held_out: share of the source that is measured on instead.
        device: where to compute.
        provenance: what is to be recorded of the run besides its outcome.
        folder: where to keep it.
    """

    def __init__(
        self,
        source: Source,
        settings: ArticleSettings,
        *,
        seed: int,
        held_out: float,
        device: torch.device,
        provenance: dict[str, Any],
        folder: RunFolder | None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.provenance = provenance
        self.folder = folder
        self.device = device
        learned_from, kept = source.split(held_out) if held_out else (source, None)
        self.footage = Footage(learned_from, settings.view, device=device)
        self.footage.check()
        self.is_held_out = kept is not None
        parts = [kept or source.split(_MEASURED_SHARE)[1], source if source.replayable else None]
        self.measured = [Footage(part, settings.view, device=device) for part in parts if part]
        self.loop = ArticleLoop(self._initial_network(), settings)
        self.checks: list[Check] = []
        self.frames_drawn = 0
        self.seconds_before = 0.0  # that learning took before it was interrupted
        self._begin = time.monotonic()

    def run(self, report: Report) -> Encoder:
        """Learns until every level has ended.

        Raises:
            KeyboardInterrupt: Ctrl-C; the folder holds what was learned so far.
        """
        self._begin = time.monotonic()
        report(Progress("measuring before learning", 0, None))
        before = self._health(self._initial_network())
        with deferred_interrupt() as interrupted:
            self._learn(report, interrupted)
        report(Progress("measuring", 0, None))
        outcome = {
            **self._outcome(),
            "frames_in_a_pass": self.footage.num_frames,
            "frames_skipped": self.footage.skipped[0],
            "skipped_by_file": self.footage.skipped[1],
            "seconds": round(self._seconds(), 1),
            "health_before": [asdict(level) for level in before],
            "health": [asdict(level) for level in self._health(self.loop.network)],
            "health_held_out": self.is_held_out,
        }
        encoder = self._encoder(outcome)
        if self.folder:
            self.folder.save(encoder)
            self.folder.end_learning()
        return encoder

    def resume(self) -> None:
        """Restores the folder's last save. Raises a RunError if there is none, or it is damaged."""
        if self.folder:
            found = load_learning(self.folder, self.loop, self.footage)
            self.frames_drawn, self.checks, self.seconds_before = found

    def _learn(self, report: Report, interrupted: Callable[[], bool]) -> None:
        begin, drawn_before = time.monotonic(), self.frames_drawn
        saved = -math.inf  # not before the first step, so that a run in the way is not lost for nothing
        with closing(self.footage.batches(self.settings.batch_size, skip=self.frames_drawn)) as batches:
            for inputs in batches:
                step = self.loop.step(inputs)
                self.frames_drawn += len(inputs)
                self._record(step)
                try:
                    report(self._progress(step, (self.frames_drawn - drawn_before) / (time.monotonic() - begin)))
                except Cancelled:
                    self._save()
                    raise
                if self.loop.finished:
                    return
                if interrupted() or time.monotonic() - saved > _SAVE_EVERY_SECONDS:
                    self._save()
                    saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt

    def _record(self, step: Step) -> None:
        self.checks += step.checks
        if self.folder:
            for check in step.checks:
                self.folder.write_line({**asdict(check), "loss": step.loss})

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self._begin

    def _save(self) -> None:
        """Keeps what was learned, unless it has diverged, which the next step says."""
        if self.folder and all(bool(torch.isfinite(one).all()) for one in self.loop.network.parameters()):
            self.folder.save(self._encoder(self._outcome()))
            drawn, seconds = self.frames_drawn, self._seconds()
            save_learning(self.folder, self.loop, self.footage, checks=self.checks, frames_drawn=drawn, seconds=seconds)

    def _progress(self, step: Step, frames_per_second: float) -> Progress:
        rule = self.settings.rule
        threshold = rule.thresholds[step.level - 1]
        last = self.checks[-1] if self.checks and self.checks[-1].level == step.level else None
        reached = f"largest similarity {last.mean:.3f}, " if last else ""
        return Progress(
            what=f"level {step.level} of {len(rule.thresholds)}",
            done=step.frame + 1,
            total=rule.cap,
            state=f"{reached}threshold {threshold:.2f}, {frames_per_second:.0f} frames/s",
            news=tuple(_ending(check, rule.thresholds) for check in step.checks if check.outcome != "go on"),
        )

    def _outcome(self) -> dict[str, Any]:
        return {
            "finished": self.loop.finished,
            "levels": [asdict(check) for check in self.checks if check.outcome != "go on"],
            "frames_learned_from": self.frames_drawn,
        }

    def _health(self, network: Network) -> tuple[health.LevelHealth, ...]:
        for part in self.measured:
            try:
                return health.measure(network, part.sample(_NUM_HEALTH_FRAMES), similarity=self.settings.similarity)
            except SourceError:  # the end of a file that is cut off
                if part is self.measured[-1]:
                    raise
                self.is_held_out = False
        return ()

    def _initial_network(self) -> Network:
        network = Network(self.settings.levels, input_size=self.settings.view.input_size, seed=self.seed)
        return network.to(self.device)

    def _encoder(self, outcome: dict[str, Any]) -> Encoder:
        provenance = {**self.provenance, "machine": describe_machine(), "outcome": outcome}
        return Encoder(ArticleModel(self.settings.view, self.loop.network), provenance=provenance)


def _ending(check: Check, thresholds: tuple[float, ...]) -> str:
    return (
        f"level {check.level} ended by {check.outcome} after {check.frame + 1} frames: "
        f"largest similarity {check.mean:.3f}, threshold {thresholds[check.level - 1]:.2f}"
    )
