"""An RTSP server that is killed and hangs again and again, and what that costs whoever watches it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.backoff import Backoff
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.monitoring.event import Event
from firstsight.monitoring.watch import watch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from rtsp import Server

_NUM_ROUNDS = 100
_BACKOFF = Backoff(first_seconds=0.05, max_seconds=0.2)


def broken_again_and_again(num_rounds: int = _NUM_ROUNDS) -> dict[str, object]:
    """Kills and hangs the server in turns; threads, descriptors and memory after ten rounds and at the end."""
    network = Network(article_levels(num_levels=2, maps=4, hidden_maps=8), input_size=32, seed=0)
    encoder, server = Encoder(ArticleModel(CentralSquare(48, 32), network)), Server()
    try:
        watched = {
            "novel": True,
            "novel_from": 1e9,
            "frames_per_second": 5,
            "timeout_seconds": 1.0,
            "backoff": _BACKOFF,
        }
        with closing(watch(encoder, server.address, **watched)) as events:
            counts = {"lost": 0, "back": 0}
            threading.Timer(5.0, break_, (server, 0)).start()  # the first frame has come by then
            early: dict[str, float] = {}
            for number in range(num_rounds):
                counts["lost"] += until(events, "lost").kind == "lost"
                mend(server, number)
                counts["back"] += until(events, "back").kind == "back"
                if number == 9:
                    early = held()
                if number + 1 < num_rounds:
                    break_(server, number + 1)
            late = held()
    finally:
        server.end()
    return {"rounds": num_rounds, **counts, "after_10_rounds": early, "at_the_end": late}


def break_(server: Server, number: int) -> None:
    """Kills it every other time, hangs it in between."""
    if number % 2:
        server.send(signal.SIGSTOP)
    else:
        server.end()


def mend(server: Server, number: int) -> None:
    """Starts it again, or lets it go on."""
    if number % 2:
        server.send(signal.SIGCONT)
    else:
        server.start()


def until(events: Iterator[Event], kind: str) -> Event:
    """Reads on to the first event of that kind."""
    return next(event for event in events if event.kind == kind)


def held() -> dict[str, float]:
    """What this process holds."""
    resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return {"threads": threading.active_count(), "descriptors": descriptors, "mb": int(resident.split()[1]) // 1024}
