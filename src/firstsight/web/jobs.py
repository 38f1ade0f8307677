"""Long work of the web app: in processes of its own, one at a time, with a record that outlives the server.

A worker (`worker.py`) writes a line of JSON a step, and stops when its input closes: so it can be cancelled, and ends
with the server however that ends. A job that was running then is taken up by the next server; indexing goes on from
where it was.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from firstsight.errors import FirstsightError, SettingsError
from firstsight.files import write_atomically
from firstsight.web.worker import SAVING_SECONDS

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_END_SECONDS = SAVING_SECONDS + 5.0  # after which a worker that was stopped has ended by itself, or is ended
_KILLING_SECONDS = 10.0  # for the system to end it
_KEPT = 20  # finished jobs whose record is kept
_SAVE_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A piece of long work."""

    id: int
    kind: str  # "index", "overview", "review" or "learn"
    title: str  # for people
    task: dict[str, Any] = field(default_factory=dict)  # what the worker gets
    state: State = "waiting"
    what: str = ""  # the current part
    done: float = 0.0  # of it
    total: float | None = None
    detail: str = ""  # the latest numbers or line, for people
    error: str = ""
    seconds: float = 0.0  # of work
    is_partial: bool = False  # done, but some of what it is about could not be read
    is_dismissed: bool = False  # over, and not to be shown any more
    dismissed_detail: str = ""  # of the same task before, if that was dismissed: the same again needs no showing

    @property
    def is_over(self) -> bool:
        """Whether it ended, in any way."""
        return self.state in ("done", "failed", "cancelled")

    def to_json(self) -> dict[str, Any]:
        """As plain values, without what only the worker or the queue needs."""
        return {name: value for name, value in asdict(self).items() if name not in ("task", "dismissed_detail")}


class Jobs:
    """The queue. All methods may be called from any thread.

    Args:
        file: where its record is kept.
        on_change: called after each step of a job, from the thread that watches it.
    """

    def __init__(self, file: Path, *, on_change: Callable[[Job], None]) -> None:
        self._file, self._on_change = file, on_change
        self._lock = threading.Condition()
        self._jobs = {job.id: job for job in _read(file)}
        self._process: subprocess.Popen[str] | None = None
        self._running: int | None = None
        self._is_closed = False
        self._saved = 0.0
        self._thread = threading.Thread(target=self._work, name="firstsight-jobs", daemon=True)

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def close(self) -> None:
        """Stops the running worker, whose job is taken up at the next start."""
        with self._lock:
            self._is_closed = True
            self._stop_worker()
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)
            self._kill()
            self._thread.join(_KILLING_SECONDS)

    def all(self) -> list[Job]:
        """The newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def add(self, kind: str, title: str, task: dict[str, Any]) -> Job:
        """A new job, in place of those with the same task that are over; one that waits or runs is returned instead."""
        with self._lock:
            same = [job for job in self._jobs.values() if job.kind == kind and job.task == task]
            for job in same:
                if not job.is_over:
                    return job
            last = max(same, key=lambda job: job.id, default=None)
            dismissed = last.detail if last and last.is_dismissed else ""
            self._jobs |= {job.id: replace(job, is_dismissed=True) for job in same}
            job = Job(max(self._jobs, default=0) + 1, kind, title, task, dismissed_detail=dismissed)
            self._jobs[job.id] = job
            self._forget_old()
            self._save()
            self._lock.notify_all()
            return job

    def again(self, number: int) -> Job:
        """A job with the task of one that is over. Raises a SettingsError if there is none of that number."""
        with self._lock:
            job = self._get(number)
            return self.add(job.kind, job.title, job.task)

    def dismiss(self, number: int) -> Job:
        """Shows a job no more, if it is over. Raises a SettingsError if there is none of that number."""
        with self._lock:
            job = self._get(number)
            if job.is_over:
                self._put(replace(job, is_dismissed=True))
            return self._jobs[number]

    def _get(self, number: int) -> Job:
        if number not in self._jobs:
            raise SettingsError(f"there is no job {number}")
        return self._jobs[number]

    def cancel(self, number: int, *, and_wait: bool = False) -> Job:
        """Cancels a job; what it finished is kept. Does nothing if it is over.

        Args:
            number: of the job.
            and_wait: until its worker has ended, which may still save what it has when the job is over.

        Raises:
            SettingsError: there is none of that number.
        """
        with self._lock:
            job = self._get(number)
            if not job.is_over:
                self._put(replace(job, state="cancelled"))
                if self._running == number:
                    self._stop_worker()
            if and_wait and not self._lock.wait_for(lambda: self._running != number, _END_SECONDS):
                self._kill()
                self._lock.wait_for(lambda: self._running != number, _KILLING_SECONDS)
            return self._jobs.get(number, job)

    def _work(self) -> None:
        while True:
            with self._lock:
                waiting = sorted(job.id for job in self._jobs.values() if not job.is_over)
                while not waiting and not self._is_closed:
                    self._lock.wait()
                    waiting = sorted(job.id for job in self._jobs.values() if not job.is_over)
                if self._is_closed:
                    return
                self._running = waiting[0]
                self._put(replace(self._jobs[waiting[0]], state="running", error=""))
                try:
                    self._process = process = start_worker(self._jobs[waiting[0]].task)
                except OSError as error:
                    self._running = None
                    reason = f"no process can be started: {error.strerror}"
                    self._put(replace(self._jobs[waiting[0]], state="failed", error=reason))
                    self._lock.notify_all()
                    continue
            try:
                with process:
                    self._watch(waiting[0], process)
            finally:
                with self._lock:
                    self._process = self._running = None
                    self._lock.notify_all()

    def _watch(self, number: int, process: "subprocess.Popen[str]") -> None:
        begin = time.monotonic()
        last: dict[str, Any] = {}
        for last in lines_of(process):  # the last one states the end
            with self._lock:
                if self._jobs[number].state == "running":
                    step = {name: last[name] for name in ("what", "done", "total", "detail") if name in last}
                    self._put(replace(self._jobs[number], **step, seconds=time.monotonic() - begin), is_step=True)
            self._on_change(self._jobs[number])
        code = process.wait()
        with self._lock:
            job = self._jobs[number]
            if self._is_closed and not last.get("is_done"):
                return  # it stays "running", for the next start
            if job.state == "running":
                if last.get("is_done"):
                    detail, is_partial = last.get("detail", ""), bool(last.get("is_partial"))
                    is_known = is_partial and detail == job.dismissed_detail
                    job = replace(job, state="done", detail=detail, is_partial=is_partial, is_dismissed=is_known)
                else:
                    reason = last.get("error") or f"its process ended unexpectedly, with code {code}"
                    job = replace(job, state="failed", error=reason)
            self._put(replace(job, seconds=time.monotonic() - begin))
        self._on_change(self._jobs[number])

    def _stop_worker(self) -> None:
        if self._process is not None:
            end_worker(self._process)

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _put(self, job: Job, *, is_step: bool = False) -> None:
        self._jobs[job.id] = job
        if not is_step or time.monotonic() - self._saved > _SAVE_EVERY_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        with suppress(FirstsightError):  # on a full disk jobs go on; the next server does not know of them
            write_atomically(self._file, json.dumps([asdict(job) for job in self._jobs.values()]).encode())

    def _forget_old(self) -> None:
        over = sorted(job.id for job in self._jobs.values() if job.is_over and job.id != self._running)
        for number in over[:-_KEPT]:
            del self._jobs[number]


def _read(file: Path) -> list[Job]:
    """The jobs of the last server; none if there was none, or its record is damaged."""
    try:
        return [Job(**one) for one in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def lines_of(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    """What a worker reports, until its output ends; what is no JSON, as a library may print, is passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict):
                yield said


def end_worker(process: "subprocess.Popen[str]") -> None:
    """Asks a worker to end: its input closes."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def start_worker(task: dict[str, Any]) -> "subprocess.Popen[str]":
    """A process that does the task, and writes a line of JSON a step."""
    command = [sys.executable, "-m", "firstsight.web.worker", json.dumps(task)]
    environment = {**os.environ, "LANCEDB_LOG": "error", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603  # this program itself
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )
