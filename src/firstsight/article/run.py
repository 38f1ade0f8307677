"""One run of the article's method: frames to the loop, checks to the folder, and everything that is needed to go on."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

import torch

from firstsight.article.checkpoint import load_learning, save_learning
from firstsight.article.footage import Footage
from firstsight.article.loop import ArticleLoop, Step
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import ArticleSettings
from firstsight.article.stopping import Check
from firstsight.device import describe_machine
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_folder import RunFolder
from firstsight.footage.source import Source
from firstsight.progress import Progress, Report, deferred_interrupt
from firstsight.quality import health

# What a crash may cost at most.
_SAVE_EVERY_SECONDS = 10.0
# Frames on which the levels' health is measured: enough for two digits of a mean.
_NUM_HEALTH_FRAMES = 200


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
        self.kept = kept and Footage(kept, settings.view, device=device)
        self.loop = ArticleLoop(self._initial_network(), settings)
        self.checks: list[Check] = []
        self.frames_drawn = 0

    def run(self, report: Report) -> Encoder:
        """Learns until every level has ended.

        Raises:
            KeyboardInterrupt: Ctrl-C; the folder holds what was learned so far.
        """
        begin = time.monotonic()
        report(Progress("measuring before learning", 0, None))
        before = self._health(self._initial_network())
        with deferred_interrupt() as interrupted:
            self._learn(report, interrupted)
        report(Progress("measuring", 0, None))
        outcome = {
            **self._outcome(),
            "frames_in_a_pass": self.footage.num_frames,
            "frames_skipped": self.footage.num_skipped,
            "skipped_by_file": self.footage.skipped_by_file,
            "seconds": round(time.monotonic() - begin, 1),
            "health_before": [asdict(level) for level in before],
            "health": [asdict(level) for level in self._health(self.loop.network)],
        }
        encoder = self._encoder(outcome)
        if self.folder:
            self.folder.save(encoder)
            self.folder.end_learning()
        return encoder

    def go_on(self) -> None:
        """Puts everything where the folder's last save left it.

        Raises:
            RunError: nothing to go on from, or it is damaged.
        """
        if self.folder:
            self.frames_drawn, self.checks = load_learning(self.folder, self.loop, self.footage)

    def _learn(self, report: Report, interrupted: Callable[[], bool]) -> None:
        begin, drawn_before = time.monotonic(), self.frames_drawn
        saved = -math.inf  # once something has been learned, so that a run in the way is not lost for nothing
        with closing(self.footage.batches(self.settings.batch_size, skip=self.frames_drawn)) as batches:
            for inputs in batches:
                step = self.loop.step(inputs)
                self.frames_drawn += len(inputs)
                self._record(step)
                report(self._progress(step, (self.frames_drawn - drawn_before) / (time.monotonic() - begin)))
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

    def _save(self) -> None:
        if self.folder:
            self.folder.save(self._encoder(self._outcome()))
            save_learning(self.folder, self.loop, self.footage, checks=self.checks, frames_drawn=self.frames_drawn)

    def _progress(self, step: Step, frames_per_second: float) -> Progress:
        rule = self.settings.rule
        threshold = rule.thresholds[step.level - 1]
        last = self.checks[-1] if self.checks and self.checks[-1].level == step.level else None
        reached = f"largest similarity {last.mean:.3f}, " if last else ""
        return Progress(
            what=f"level {step.level} of {len(rule.thresholds)}",
            done=step.frame + 1,
            total=rule.cap,
            state=f"{reached}asked below {threshold:.2f}, {frames_per_second:.0f} frames/s",
            news=tuple(_ending(check, rule.thresholds) for check in step.checks if check.outcome != "go on"),
        )

    def _outcome(self) -> dict[str, Any]:
        return {
            "finished": self.loop.finished,
            "levels": [asdict(check) for check in self.checks if check.outcome != "go on"],
            "frames_learned_from": self.frames_drawn,
        }

    def _health(self, network: Network) -> tuple[health.LevelHealth, ...]:
        if not self.kept:
            return ()
        return health.measure(network, self.kept.sample(_NUM_HEALTH_FRAMES), similarity=self.settings.similarity)

    def _initial_network(self) -> Network:
        network = Network(self.settings.levels, input_size=self.settings.view.input_size, seed=self.seed)
        return network.to(self.device)

    def _encoder(self, outcome: dict[str, Any]) -> Encoder:
        provenance = {**self.provenance, "machine": describe_machine(), "outcome": outcome}
        return Encoder(ArticleModel(self.settings.view, self.loop.network), provenance=provenance)


def _ending(check: Check, thresholds: tuple[float, ...]) -> str:
    return (
        f"level {check.level} ended by {check.outcome} after {check.frame + 1} frames: "
        f"largest similarity {check.mean:.3f}, asked below {thresholds[check.level - 1]:.2f}"
    )
