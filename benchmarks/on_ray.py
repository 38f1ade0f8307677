"""Indexing by Ray against indexing in one process: the same rows, what it costs, and workers that die.

    python benchmarks/on_ray.py VIDEO [VIDEO ...] --model RUN

A head with one processor is started by hand, then a second node with another; both are processes of this machine, so on
two cores the second node is the second core. Workers are killed at ten moments, drawn by the seed. Needs the ray extra.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from machine import machine

import firstsight
from firstsight.indexing import on_ray
from firstsight.library.store import Store

NUM_KILLED = 10
SHARD_SECONDS = 20.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fps", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    on_ray.shards_of = partial(on_ray.shards_of, seconds=SHARD_SECONDS)
    print(machine())
    with tempfile.TemporaryDirectory() as folder, node("--head", f"--port={(port := free_port())}") as head:
        address = f"ray:{head}:{port}"
        indexed = partial(index, arguments, Path(folder))
        expected, seconds = indexed("here", None)
        print(f"in one process: {len(expected[0])} frames in {seconds:.1f} s")
        compare("ray, 1 worker", *indexed("one", address), expected, seconds)
        with node(f"--address={head}:{port}"):
            compare("ray, 2 nodes of 1 worker", *indexed("two", address), expected, seconds)
            with killing(arguments.seed, seconds) as killed:
                found = indexed("killed", address)
            compare(f"ray, 2 nodes, {len(killed)} workers killed", *found, expected, seconds)


Rows = tuple[list[tuple[str, int, float]], np.ndarray]


def index(arguments: argparse.Namespace, folder: Path, name: str, on: str | None) -> tuple[Rows, float]:
    """The rows of a new library, and the seconds that it took."""
    encoder = firstsight.Encoder.load(arguments.model)
    begin = time.perf_counter()
    videos = [str(path) for path in arguments.videos]
    made = firstsight.Library.create(folder / name, videos, encoder=encoder, frames_per_second=arguments.fps, on=on)
    seconds = time.perf_counter() - begin
    made.close()
    with Store.open(folder / name) as library:
        frames = library.embeddings()
        names = [frames.source_of(row) for row in range(len(frames))]
        return (
            list(zip(names, frames.frame_indices.tolist(), frames.seconds.tolist(), strict=True)),
            frames.vectors,
        ), seconds


def compare(what: str, found: Rows, seconds: float, expected: Rows, alone: float) -> None:
    """Prints a line."""
    same = found[0] == expected[0]
    furthest = float(np.abs(found[1] - expected[1]).max()) if same else float("nan")
    share = seconds / alone
    print(f"{what}: {seconds:.1f} s, {share:.2f} of one process; same rows: {same}, vectors within {furthest:.1e}")


def free_port() -> int:
    """Of this machine."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


@contextmanager
def node(*options: str) -> Iterator[str]:
    """A node of Ray with one processor, until the end; gives the machine's own address."""
    command = [Path(sys.executable).with_name("ray"), "start", *options, "--num-cpus=1", "--block"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    address = "127.0.0.1"
    for line in process.stdout or ():
        if "Local node IP:" in line:
            address = line.rpartition(" ")[2].strip()
        if "Ray runtime started" in line:
            break
    threading.Thread(target=lambda: list(process.stdout or ()), daemon=True).start()
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def killing(seed: int, seconds: float) -> Iterator[list[int]]:
    """A worker dies at ten moments, of which the number that were found is given."""
    drawn, done, killed = random.Random(seed), threading.Event(), []

    def kill() -> None:
        while len(killed) < NUM_KILLED and not done.wait(drawn.uniform(0, seconds / NUM_KILLED)):
            if workers := [int(path.name) for path in Path("/proc").glob("[0-9]*") if is_worker(path)]:
                killed.append(drawn.choice(workers))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def is_worker(process: Path) -> bool:
    """Whether the process embeds a shard."""
    try:
        return (process / "cmdline").read_bytes().startswith(b"ray::_embed")
    except OSError:
        return False


if __name__ == "__main__":
    main()
