"""Where the seconds go: learn, index, search and watch, each part accounted for, beside the limits of the machine.

    python benchmarks/performance.py cars.mp4                     # five minutes of 720p of it, about four minutes
    python benchmarks/performance.py cars.mp4 --minutes 1 --turns 2

The clip is scaled and repeated, as by `unit_costs.py`. Every part is counted in processor seconds of the thread that
does it, without the parts inside it; so that all is counted, FFmpeg and PyTorch do theirs on the thread that asks for
it. All else is the processor time of the process less the parts: in `learn` it is the arithmetic. Waiting is by the
clock, of the thread that was called. Of the turns the one of median processor time is shown. Ratios to bare decoding,
which is PyAV's on all threads, are measured without any of this.
"""

import argparse
import functools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import torch
from machine import machine
from measuring import cost, in_turns, ratio
from speed import convolution_flops
from unit_costs import repeated

import firstsight
from firstsight.article.model import untrained
from firstsight.closed_form import pyramid
from firstsight.closed_form.pyramid import PatchLevel
from firstsight.encoder.encoder import Encoder
from firstsight.footage.container import OpenVideo
from firstsight.footage.orientation import Viewer
from firstsight.indexing import writer
from firstsight.library.tables import Tables

RESULTS = Path(__file__).parent / "results" / "performance.json"
SIZE, RATE = (1280, 720), 2.0
_SIDE = 1024  # of a matrix whose product is timed

# By part what is counted as it.
PARTS: dict[str, list[tuple[Any, str]]] = {
    "decoding": [(OpenVideo, "_decoded")],
    "resizing": [(Viewer, "pictures")],
    "filter responses": [(PatchLevel, "responses")],
    "second moments": [(pyramid, "_second_moments")],
    "rest of embedding": [(Encoder, "_in_batches")],
    "thumbnails": [(writer, "as_jpeg")],
    "writing": [(Tables, name) for name in ("put", "add", "drop", "keep_up_indices", "compact")],
}


@dataclass(frozen=True)
class Account:
    """Where the time of one call went, in seconds."""

    wall: float
    cpu: float  # of the process
    parts: dict[str, float]  # processor seconds; what "waits" is by the clock, and beside them


class Clock:
    """Counts processor time by part and thread, each without the parts inside it."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._inside = threading.local()  # seconds of the parts inside the current one

    def counted(self, part: str, call: Callable[..., object]) -> Callable[..., object]:
        """The same function, counted."""

        @functools.wraps(call)
        def inner(*given: object, **named: object) -> object:
            before, self._inside.seconds = getattr(self._inside, "seconds", 0.0), 0.0
            begin = time.thread_time()
            try:
                return call(*given, **named)
            finally:
                taken = time.thread_time() - begin
                with self._lock:
                    self.parts[part] += taken - self._inside.seconds
                self._inside.seconds = before + taken

        return inner


@contextmanager
def counting() -> Iterator[Clock]:
    """Within it the parts are counted; each is done by the thread that asks for it."""
    clock = Clock()
    with ExitStack() as patched:
        patched.enter_context(one_thread())
        patched.enter_context(mock.patch.object(OpenVideo, "use_all_threads"))
        patched.enter_context(mock.patch.object(OpenVideo, "__init__", one_decoder(OpenVideo.__init__)))
        for part, places in PARTS.items():
            for owner, name in places:
                patched.enter_context(mock.patch.object(owner, name, clock.counted(part, getattr(owner, name))))
        yield clock


def one_decoder(begin: Callable[..., None]) -> Callable[..., None]:
    """Opens a video without threads of FFmpeg's own."""

    def opened(self: OpenVideo, container: Any, stream: Any) -> None:  # noqa: ANN401
        stream.codec_context.thread_count = 1
        begin(self, container, stream)

    return opened


def account(call: Callable[[], object]) -> Account:
    """Of one call."""
    with counting() as clock:
        wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        call()
        own, cpu, wall = time.thread_time() - own, time.process_time() - cpu, time.perf_counter() - wall
    parts = dict(clock.parts)
    parts["all else, on any thread"] = cpu - sum(parts.values())
    parts["waits"] = wall - own
    return Account(wall, cpu, parts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        video = repeated(arguments.clip, Path(name) / "clip.mp4", size=SIZE, seconds=60 * arguments.minutes)
        encoder = firstsight.learn(str(video), seed=0)
        result = {
            "machine": machine(),
            "seed": 0,
            "clip": arguments.clip.name,
            "minutes": arguments.minutes,
            "limits": limits(video),
            "article": article_shares(),
            "accounts": accounts(video, encoder, Path(name), turns=arguments.turns),
            "indexing": beside_decoding(video, encoder, turns=arguments.turns),
        }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))


def limits(video: Path) -> dict[str, float]:
    """Of one core: operations and bytes a processor second at best, frames a processor second of bare decoding."""
    taken = {kind: min(cost(lambda kind=kind: decode(video, kind)).cpu for _ in range(3)) for kind in ("SLICE", "AUTO")}
    num = decode(video, "AUTO")
    source = np.ones(2**25, np.float32)  # 128 MiB: far more than a cache holds
    target = np.empty_like(source)
    copying = min(cost(lambda: np.copyto(target, source)).cpu for _ in range(6))
    with one_thread():
        return {
            "float32_flops": matrix_rate(torch.float32),
            "bfloat16_flops": matrix_rate(torch.bfloat16),
            "memory_bytes": 2 * source.nbytes / copying,
            "decoding_one_thread": num / taken["SLICE"],
            "decoding_all_threads": num / taken["AUTO"],
        }


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one: a thread that waits for another takes processor time as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a processor second of a large matrix product."""
    matrix = torch.rand(_SIDE, _SIDE).to(dtype)
    return 2 * _SIDE**3 / min(cost(lambda: matrix @ matrix).cpu for _ in range(6))


def decode(video: Path, threads: str) -> int:
    """Decodes a video and drops its frames; how many there were."""
    with av.open(str(video)) as opened:
        opened.streams.video[0].thread_type = threads
        return sum(1 for _ in opened.decode(video=0))


def article_shares() -> dict[str, dict[str, float]]:
    """The article's network on inputs of 224 pixels: frames a core-second, what its convolutions allow, the share.

    The limit is measured in turns with the network: a large matrix product's rate over its multiplications and sums.
    """
    encoder, frames = untrained(seed=0), np.zeros((16, 224, 224, 3), np.uint8)
    frames[:] = np.random.default_rng(0).integers(0, 256, frames.shape)
    per_frame = sum(convolution_flops())
    shares = {}
    with one_thread():
        for precision in ("float32", "bfloat16"):
            dtype, taken, allowed = getattr(torch, precision), list[float](), list[float]()
            for _ in range(7):
                taken.append(cost(lambda precision=precision: encoder.encode(frames, precision=precision)).cpu)
                allowed.append(matrix_rate(dtype) / per_frame)
            best, most = len(frames) / min(taken), max(allowed)
            shares[precision] = {"frames_a_second": best, "allowed": most, "share": best / most}
    return shares


def accounts(video: Path, encoder: Encoder, folder: Path, *, turns: int) -> dict[str, dict[str, Any]]:
    """By command the account of median processor time."""
    library = firstsight.Library.create(folder / "asked.library", str(video), encoder=encoder, frames_per_second=RATE)
    with library:
        picture = np.ascontiguousarray(firstsight.frame_at(str(video), 3.0).whole)
        library.search(picture)  # measures its threshold, once

        def index() -> None:
            with tempfile.TemporaryDirectory() as name:
                made = Path(name) / "made.library"
                firstsight.Library.create(made, str(video), encoder=encoder, frames_per_second=RATE).close()

        calls: dict[str, Callable[[], object]] = {
            "learn": lambda: firstsight.learn(str(video), seed=0),
            "index": index,
            "search": lambda: library.search(picture),
            "watch": lambda: list(firstsight.watch(encoder, str(video), novel=True, speed=0)),
        }
        found: dict[str, list[Account]] = {name: [] for name in calls}
        for name, call in calls.items():
            for _ in range(turns):
                found[name].append(account(call))
                print(f"{name}: {found[name][-1]}", file=sys.stderr)
    middle = {name: sorted(several, key=lambda one: one.cpu)[len(several) // 2] for name, several in found.items()}
    return {name: asdict(one) for name, one in middle.items()}


def beside_decoding(video: Path, encoder: Encoder, *, turns: int) -> dict[str, Any]:
    """Indexing as times of bare decoding, in turns."""

    def index(**sampling: Any) -> None:  # noqa: ANN401
        with tempfile.TemporaryDirectory() as name:
            firstsight.Library.create(Path(name) / "made.library", str(video), encoder=encoder, **sampling).close()

    calls = {
        "decoding": lambda: decode(video, "AUTO"),
        "index": lambda: index(frames_per_second=RATE),
        "keyframes": lambda: index(frames_per_second=RATE, keyframes=True),
    }
    costs = in_turns(calls, turns=max(2, turns))
    pairs = {"index": ("index", "decoding"), "keyframes": ("index", "keyframes")}
    return {
        name: {
            kind: asdict(ratio(*([getattr(one, kind) for one in costs[each]] for each in pair)))
            for kind in ("wall", "cpu")
        }
        for name, pair in pairs.items()
    } | {"seconds": {name: statistics.median(one.cpu for one in several) for name, several in costs.items()}}


def report(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    known = result["limits"]
    lines = [
        "| limit of one core, in its own time | |",
        "|---|---|",
        f"| matrix product, float32 | {known['float32_flops'] / 1e9:.0f} GFLOP/s |",
        f"| matrix product, bfloat16 | {known['bfloat16_flops'] / 1e9:.0f} GFLOP/s |",
        f"| memory, read and written | {known['memory_bytes'] / 1e9:.1f} GB/s |",
        f"| bare decoding of 720p, one thread | {known['decoding_one_thread']:.0f} frames/s |",
        f"| bare decoding of 720p, all threads | {known['decoding_all_threads']:.0f} frames/s |",
        "",
        "| article's network at 224 pixels, one core | frames/s | its convolutions allow | share |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['frames_a_second']:.0f} | {one['allowed']:.0f} | {100 * one['share']:.0f} % |"
            for name, one in result["article"].items()
        ),
        "",
    ]
    names = [*PARTS, "all else, on any thread"]
    lines += [f"| processor seconds | {' | '.join(names)} | together | by the clock | of it the caller waits |"]
    lines += ["|---" * (len(names) + 4) + "|"]
    for name, one in result["accounts"].items():
        cells = [f"{one['parts'].get(part, 0):.2f}" for part in names]
        totals = (f"{one['cpu']:.2f}", f"{one['wall']:.2f}", f"{one['parts']['waits']:.2f}")
        lines.append(f"| {name} | {' | '.join((*cells, *totals))} |")
    found = result["indexing"]
    for name, words in (
        ("index", "indexing takes {} times bare decoding"),
        ("keyframes", "keyframes alone take 1 of {}"),
    ):
        each = ("{mean:.2f} ({low:.2f} to {high:.2f})".format(**found[name][kind]) for kind in ("cpu", "wall"))
        lines.append(f"\n{words.format(next(each))} in processor time, {next(each)} by the clock.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
