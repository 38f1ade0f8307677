"""The default method from footage to encoder: one pass that keeps a bounded sample, then `fit` on that."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from firstsight.closed_form.fit import DEFAULT, RANDOM, fit
from firstsight.closed_form.sample import BoundedSample, count, spread
from firstsight.closed_form.settings import ClosedFormSettings
from firstsight.device import describe_machine, has_fast_bfloat16
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_folder import RunFolder
from firstsight.encoder.views import WholeFrame
from firstsight.footage.source import Source
from firstsight.progress import Progress, Report
from firstsight.quality import health


def learn_closed_form(
    sources: Sequence[Source],
    settings: ClosedFormSettings,
    provenance: dict[str, Any],
    folder: RunFolder | None,
    progress: Report,
    *,
    live_seconds: float | None = None,
) -> Encoder:
    """An encoder from one bounded sample of the footage, saved if there is a folder.

    Args:
        sources: read once each, one after the other.
        settings: of the method.
        provenance: what is to be recorded besides the outcome; its "method" and "seed" are used.
        folder: where to keep the run.
        progress: called now and then.
        live_seconds: of what is live; None reads until it ends or until Ctrl-C.

    Raises:
        SourceError: no footage, or too little of it.
        RunError: the folder cannot be written.
    """
    begin = time.monotonic()
    view = WholeFrame.for_size(*sources[0].size())
    sample, parts = BoundedSample(settings.max_frames), spread(sources, settings.max_frames)
    num_frames, total = count(sources), count(parts)
    frames = sample.read(
        parts, view, report=lambda done: progress(Progress("watching", done, total)), live_seconds=live_seconds
    )
    if sample.cut_short_by:
        news = f"reading ended by {sample.cut_short_by}; learning from the {sample.num_seen} frames that were read"
        progress(Progress("watching", sample.num_seen, total, news=(news,)))
    learned = fit(
        frames,
        seed=provenance["seed"],
        recipe=RANDOM if provenance["method"] == "random" else DEFAULT,
        precision=settings.precision or ("bfloat16" if has_fast_bfloat16() else "float32"),
        report=lambda what, share: progress(Progress(what, share, 1)),
    )
    encoder = Encoder(learned.model)
    probe = frames[np.linspace(0, len(frames) - 1, min(len(frames), 200)).astype(int)]
    measured = health.measure_embedding(probe, encoder.encode(probe))
    outcome = {
        "finished": True,
        "frames_in_a_pass": sample.num_seen if total == num_frames else num_frames,
        "frames_skipped": sample.num_skipped,
        "skipped_by_file": sample.skipped_by_file,
        "frames_learned_from": len(frames),
        "seconds": round(time.monotonic() - begin, 1),
        "footage": learned.facts(),
        "embedding": asdict(measured),
        "warnings": measured.warnings(),
        "health": [asdict(level) for level in health.measure_frames(learned.model, probe)],
    }
    encoder.provenance = {**provenance, "machine": describe_machine(), "outcome": outcome}
    if folder:
        folder.save(encoder)
        folder.write_line({"event": "learned", **outcome})
    return encoder
