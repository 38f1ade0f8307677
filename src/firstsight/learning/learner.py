"""`learn`: footage in, an encoder out; the run is kept in a folder as it goes."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Unpack

from firstsight import device
from firstsight.errors import SettingsError
from firstsight.learning import health
from firstsight.learning.article import ArticleLoop, Step
from firstsight.learning.choices import Method
from firstsight.learning.config import ArticleSettings, Settings, settings_of
from firstsight.learning.footage import Footage
from firstsight.learning.run_folder import RunFolder
from firstsight.learning.stopping import Check
from firstsight.model.encoder import Encoder
from firstsight.model.network import Network
from firstsight.video.source import Source, Spec, open_source

# What a crash may cost at most.
_SAVE_EVERY_SECONDS = 10.0
# Frames on which the levels' health is measured: enough for two digits of a mean.
_NUM_HEALTH_FRAMES = 200


@dataclass(frozen=True)
class Progress:
    """Where learning is, after each step."""

    step: Step
    settings: ArticleSettings
    mean: float | None  # of the largest |similarity|, at the level's last check
    frames_per_second: float  # since this call began


def learn(
    source: Spec,
    *,
    method: Method = "article",
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
    held_out: float = 0.1,
    device_name: str = "auto",
    progress: Callable[[Progress], None] | None = None,
    **settings: Unpack[Settings],
) -> Encoder:
    """An encoder made for that footage, learned from its frames alone, without labels.

    Args:
        source: a video, a picture folder, several, a glob, an array uint8 (N, H, W, 3) or (N, H, W), or what
            `open_source` gave.
        method: how to learn; `article` is Multi-Perspective Neural Networks as published.
        seed: of the initial weights; the same seed, footage and number of threads give the same encoder.
        out: folder for the run (`config.json`, `model.safetensors`, `metrics.jsonl`); None keeps nothing on disk.
        force: overwrite a run that is there already.
        held_out: share of each video's end, at most 60 s, that is not learned from but measured on; 0 to 0.5.
        device_name: "auto" is a GPU if there is one, else the CPU.
        progress: called after each step.
        settings: of the method; see `ArticleSettings`.

    Returns:
        The encoder; `provenance` tells for each level whether it ended by "threshold" or "cap", and its health.

    Raises:
        SourceError: no footage, or too little of it.
        SettingsError: an option outside its range, or learning diverged.
        RunError: the folder cannot be written, or holds a run already.
        KeyboardInterrupt: Ctrl-C; what was learned so far is in `out`.

    Example:
        >>> encoder = learn("bikes.mp4", frames_per_level=400)  # doctest: +SKIP
    """
    chosen = settings_of(method, settings)
    footage = open_source(source)
    folder = None if out is None else RunFolder.create(Path(out), force=force)
    session = _Session(footage, chosen, seed=seed, held_out=held_out, device_name=device_name, folder=folder)
    return session.run(progress)


@dataclass
class _Session:
    """One call of `learn`."""

    source: Source
    settings: ArticleSettings
    seed: int
    held_out: float
    device_name: str
    folder: RunFolder | None
    last: Check | None = None
    ended: list[Check] = field(default_factory=list)  # the check that ended each level so far

    def __post_init__(self) -> None:
        if not 0 <= self.held_out <= 0.5:
            raise SettingsError(f"held-out share {self.held_out}; valid is 0 to 0.5")
        place = device.choose_device(self.device_name)
        learned_from, kept = self.source.split(self.held_out) if self.held_out else (self.source, None)
        self.footage = Footage(learned_from, self.settings.preprocessing, place=place)
        self.footage.check()
        self.kept = kept and Footage(kept, self.settings.preprocessing, place=place)
        self.loop = ArticleLoop(self._initial_network().to(place), self.settings)
        self.frames_drawn = 0

    def run(self, progress: Callable[[Progress], None] | None) -> Encoder:
        device.keep_freed_memory()
        begin = time.monotonic()
        before = self._health(self._initial_network().to(self.footage.place))
        with _deferred_interrupt() as interrupted:
            self._learn(begin, progress, interrupted)
        outcome = {
            "finished": self.loop.finished,
            "levels": [asdict(check) for check in self.ended],
            "frames_in_a_pass": self.footage.num_frames,
            "frames_skipped": self.footage.num_skipped,
            "frames_learned_from": self.frames_drawn,
            "seconds": round(time.monotonic() - begin, 1),
            "health_before": [asdict(level) for level in before],
            "health": [asdict(level) for level in self._health(self.loop.network)],
        }
        encoder = self._encoder(outcome)
        if self.folder:
            encoder.save(self.folder.folder)
            if self.loop.finished:
                self.folder.end_learning()
        return encoder

    def _learn(
        self, begin: float, progress: Callable[[Progress], None] | None, interrupted: Callable[[], bool]
    ) -> None:
        saved = -math.inf  # once something has been learned, so that a run in the way is not lost for nothing
        batches = self.footage.batches(self.settings.batch_size, skip=self.frames_drawn)
        with closing(batches):
            for inputs in batches:
                step = self.loop.step(inputs)
                self.frames_drawn += len(inputs)
                self._record(step)
                if progress:
                    progress(
                        Progress(step, self.settings, self._mean(step), self.frames_drawn / (time.monotonic() - begin))
                    )
                if self.loop.finished:
                    return
                if interrupted() or time.monotonic() - saved > _SAVE_EVERY_SECONDS:
                    self._save()
                    saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt

    def _record(self, step: Step) -> None:
        for check in step.checks:
            if check.outcome != "go on":
                self.ended.append(check)
            self.last = check
            if self.folder:
                self.folder.write_check(check, loss=step.loss)

    def _mean(self, step: Step) -> float | None:
        return self.last.mean if self.last and self.last.level == step.level else None

    def _save(self) -> None:
        if self.folder:
            self._encoder({"finished": False, "levels": [asdict(check) for check in self.ended]}).save(
                self.folder.folder
            )
            self.folder.save_learning(self.loop, frames_drawn=self.frames_drawn)

    def _health(self, network: Network) -> tuple[health.LevelHealth, ...]:
        return health.measure(network, self.kept.sample(_NUM_HEALTH_FRAMES)) if self.kept else ()

    def _initial_network(self) -> Network:
        return Network(self.settings.levels, input_size=self.settings.input_size, seed=self.seed)

    def _encoder(self, outcome: dict[str, Any]) -> Encoder:
        provenance = {
            "method": "article",
            "settings": asdict(self.settings),
            "seed": self.seed,
            "source": self.source.name,
            "held_out": self.held_out,
            "firstsight": metadata.version("firstsight"),
            "machine": device.describe_machine(),
            "outcome": outcome,
        }
        return Encoder(self.settings.preprocessing, self.loop.network, provenance=provenance)


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is remembered until the step is done, so that what is saved is never half a step; twice is at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()
    previous = signal.getsignal(signal.SIGINT)

    def remember(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, remember)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
