"""The process of a long job: `python -m firstsight.web.worker TASK`, with the task as JSON; see `jobs.py`."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from firstsight.errors import FirstsightError
from firstsight.object_store import remove_copies, to_path
from firstsight.progress import Cancelled, Progress
from firstsight.text import counted, printable

_STEP_SECONDS = 0.2  # between lines, at least
SAVING_SECONDS = 15.0  # for work that saves its state
_MAX_NAMED = 5  # files that cannot be read, in a line
_GRACE_SECONDS = 3.0  # for a step that reports nothing; then the process ends, which libraries survive


class _Lines:
    """Reports as lines of JSON; raises `Cancelled` once standard input is closed, and soon after ends the process."""

    def __init__(self) -> None:
        self._last = 0.0
        self._is_cancelled = threading.Event()
        self.is_partial = False  # whether some of what the work is about could not be read
        self.interrupts = False  # whether the end of the input is as Ctrl-C, for work that saves its state then
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def __call__(self, progress: Progress) -> None:
        self.check()
        now = time.monotonic()
        if now - self._last < _STEP_SECONDS and not progress.news:
            return
        self._last = now
        detail = progress.news[-1] if progress.news else progress.state
        self.write(what=progress.what, done=float(progress.done), total=progress.total, detail=detail)

    def check(self) -> None:
        """Raises Cancelled once the work is to end."""
        if self._is_cancelled.is_set() and not self.interrupts:
            raise Cancelled

    def write(self, **content: Any) -> None:  # noqa: ANN401  # any JSON
        """One line."""
        print(json.dumps(content), flush=True)  # noqa: T201

    def _wait_for_end(self) -> None:
        while sys.stdin.read(1):
            pass
        self._is_cancelled.set()
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(SAVING_SECONDS if self.interrupts else _GRACE_SECONDS)
        os._exit(1)


def run_index(task: dict[str, Any], lines: _Lines) -> str:
    """Makes a library of footage, or adds it to one; what it did, in a line."""
    from firstsight.api import Library
    from firstsight.library.folder import is_library
    from firstsight.searching.decoys import background_of

    folder, footage = to_path(task["library"]), task["footage"]
    if is_library(folder):
        library = Library.open(folder)
        library.add(footage, progress=lines)
    else:
        library = Library.create(folder, footage, progress=lines)
    with library:
        background_of(library.store, progress=lines)
        failed = [printable(record.name) for record in library.store.failed_sources]
        lines.is_partial = bool(failed)
        made = f"{counted(library.num_frames, 'frame')} of {counted(len(library.store.sources), 'source')}"
        more = f" and {len(failed) - _MAX_NAMED} more" if len(failed) > _MAX_NAMED else ""
        return f"{made}; {len(failed)} not readable: {', '.join(failed[:_MAX_NAMED])}{more}" if failed else made


def run_overview(task: dict[str, Any], lines: _Lines) -> str:
    """Groups the frames of a library and lays them out; what it found, in a line."""
    from firstsight.api import Library
    from firstsight.web.overview import write_overview

    with Library.open(task["library"]) as library:
        return write_overview(library, Path(task["out"]), progress=lines)


def run_review(task: dict[str, Any], lines: _Lines) -> str:
    """Looks for what is to be judged; what it found, in a line."""
    from firstsight.api import Library
    from firstsight.web.candidates import find_candidates
    from firstsight.web.review import FILE, read_answers

    with Library.open(task["library"]) as library:
        answered = {one.candidate.id for one in read_answers(library.path / FILE)}
        return find_candidates(library, task["kinds"], Path(task["out"]), answered=answered, progress=lines)


def run_learn(task: dict[str, Any], lines: _Lines) -> str:
    """Learns a model, or goes on with it; how, in a line."""
    from firstsight.web.models import learn_model

    lines.interrupts = True  # the article's method saves its state then
    return learn_model(Path(task["folder"]), progress=lines)


def run_live(task: dict[str, Any], lines: _Lines) -> str:
    """Watches a stream; what it was, in a line."""
    from firstsight.api import Library
    from firstsight.web.live import watch_live

    def only_cancels(_: Progress) -> None:
        lines.check()

    with Library.open(task["library"]) as library:
        return watch_live(library, task["source"], speed=task["speed"], write=lines.write, progress=only_cancels)


TASKS = {"index": run_index, "overview": run_overview, "review": run_review, "learn": run_learn, "live": run_live}


def main(arguments: list[str]) -> int:
    """Runs the task; its last line states the end."""
    task, lines = json.loads(arguments[0]), _Lines()
    os.nice(5)
    try:
        detail = TASKS[task["kind"]](task, lines)
    except (Cancelled, KeyboardInterrupt):
        lines.write(error="cancelled")
        return 1
    except FirstsightError as error:
        lines.write(error=str(error))
        return 2
    except Exception as error:  # a job's end is shown, whatever it is
        lines.write(error=f"{type(error).__name__}: {error}")
        return 1
    lines.write(is_done=True, detail=detail, is_partial=lines.is_partial)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    remove_copies()
    sys.stdout.flush()
    os._exit(code)  # as the command line does
