"""Encoders that were learned from the page: a folder each beside the library, with the run, pictures and verdict."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from firstsight.encoder.run_config import read_provenance
from firstsight.encoder.run_folder import METRICS_FILE, can_be_resumed
from firstsight.errors import FirstsightError, LibraryError, SettingsError
from firstsight.files import is_unfinished, write_atomically
from firstsight.from_json import from_json, read_json
from firstsight.object_store import to_path
from firstsight.progress import Progress, Report, silent

Method = Literal["default", "article", "random"]
_ABOUT, _RUN, _VERDICT, _LEVELS = "about.json", "run", "verdict.json", "levels.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
MAX_CHECKS = 2_000  # of the curve that a page gets
_MAX_ASKED = 300  # frames of the verdict: enough for a clear difference, a minute at most


@dataclass(frozen=True)
class About:
    """What a model is learned from, and how."""

    sources: tuple[str, ...]  # names, for people
    paths: tuple[str, ...]
    method: Method
    seed: int


class Models:
    """The models beside a library. All methods may be called from any thread."""

    def __init__(self, library: Path) -> None:
        self.folder = library.with_name(f"{library.name.removesuffix('.library')}.models")

    def names(self) -> list[str]:
        """In the order in which they were begun."""
        found = [path.parent for path in self.folder.glob(f"*/{_ABOUT}") if _NAME.fullmatch(path.parent.name)]
        return [path.name for path in sorted(found, key=lambda path: ((path / _ABOUT).stat().st_mtime_ns, path.name))]

    def at(self, name: str) -> Path:
        """The folder of a model. Raises a LibraryError if there is none."""
        if not _NAME.fullmatch(name) or not (self.folder / name / _ABOUT).is_file():
            raise LibraryError("there is no such model, or not any more")
        return self.folder / name

    def begin(self, name: str, about: About) -> Path:
        """The folder of a new model. Raises a SettingsError if the name is taken, or has other letters."""
        if not _NAME.fullmatch(name):
            raise SettingsError(f"name {name!r}; valid are 1 to 40 letters, digits, - and _, without others")
        folder = self.folder / name
        left = [path.name for path in folder.iterdir() if not is_unfinished(path)] if folder.exists() else []
        if set(left) - {_RUN, _VERDICT, _LEVELS}:
            raise SettingsError(f"there is a model {name} already; choose another name, or remove it")
        shutil.rmtree(folder, ignore_errors=True)  # what one has written that was removed while it was learning
        write_atomically(folder / _ABOUT, json.dumps(asdict(about)).encode())
        return folder

    def remove(self, name: str) -> None:
        """Removes it, and its files. Raises a LibraryError if there is none."""
        shutil.rmtree(self.at(name), ignore_errors=True)

    def show(self, name: str) -> dict[str, Any]:
        """How far it is, its levels, and its verdict, as plain values."""
        folder = self.at(name)
        provenance, damage = _provenance(folder / _RUN), []
        try:
            about = about_of(folder)
        except LibraryError as error:
            about, damage = About((), (), "default", 0), [str(error)]
        outcome, settings = provenance.get("outcome", {}), provenance.get("settings", {})
        return {
            "name": name,
            "sources": list(about.sources),
            "method": about.method,
            "seed": about.seed,
            "folder": str(folder / _RUN),
            "is_learned": bool(outcome.get("finished")),
            "can_be_resumed": can_be_resumed(folder / _RUN),
            "num_frames": outcome.get("frames_learned_from"),
            "seconds": outcome.get("seconds"),
            "ended": outcome.get("levels", []),
            "health": outcome.get("health", []),
            "embedding": outcome.get("embedding"),
            "warnings": damage + outcome.get("warnings", []),
            "thresholds": _thresholds(settings) if about.method == "article" else [],
            "checks": _checks(folder / _RUN / METRICS_FILE),
            "verdict": _read(folder / _VERDICT),
            "has_levels": (folder / _LEVELS).is_file(),
        }

    def levels(self, name: str) -> list[dict[str, Any]]:
        """The filters and maps of each level, as pictures; none until it is learned."""
        return _read(self.at(name) / _LEVELS) or []


def about_of(folder: Path) -> About:
    """What a model is learned from. Raises a LibraryError if its record is damaged."""
    try:
        return from_json(About, read_json(folder / _ABOUT), name=_ABOUT)
    except (OSError, ValueError, SettingsError) as error:
        raise LibraryError(f"the model {folder.name} is damaged: {error}; remove it") from error


def learn_model(folder: Path, *, progress: Report = silent) -> str:
    """Learns what the folder describes, or goes on with it; then its pictures and its verdict; a line on it.

    Raises:
        SourceError, SettingsError, RunError: see `firstsight.learn`.
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.learning.learn import learn, resume

    about, run = about_of(folder), folder / _RUN
    spec: str | Sequence[str] = about.paths[0] if len(about.paths) == 1 else list(about.paths)
    if can_be_resumed(run):
        encoder = resume(run, progress=progress)
    elif _is_learned(run):  # stopped while it was judged
        encoder = Encoder.load(run)
    else:
        encoder = learn(spec, method=about.method, seed=about.seed, out=run, force=True, progress=progress)
    progress(Progress("drawing its levels", 0, None))
    write_atomically(folder / _LEVELS, json.dumps(_pictures(encoder, about.paths[0])).encode())
    write_atomically(folder / _VERDICT, json.dumps(_verdict(encoder, spec, progress)).encode())
    return f"learned from {encoder.provenance['outcome']['frames_learned_from']} frames"


def _provenance(run: Path) -> dict[str, Any]:
    """How a run came to be; empty before its first save."""
    try:
        return dict(read_provenance(run))
    except FirstsightError:
        return {}


def _thresholds(settings: dict[str, Any]) -> list[float]:
    """Of each level of the article's method; none before its first save."""
    from firstsight.article.settings import ArticleSettings

    try:
        return list(from_json(ArticleSettings, settings, name="settings").rule.thresholds) if settings else []
    except SettingsError:
        return []


def _is_learned(run: Path) -> bool:
    return bool(_provenance(run).get("outcome", {}).get("finished"))


def _pictures(encoder: Any, path: str) -> list[dict[str, Any]]:  # noqa: ANN401  # an Encoder; torch loads later
    from firstsight.footage.frame_at import frame_at
    from firstsight.report.levels import level_stories

    stories = level_stories(encoder, frame_at(to_path(path), 0.0, views=(encoder.view,)).pixels)
    return [
        {"level": one.number, "shape": one.shape, "filters": one.after.filters, "maps": one.after.maps}
        for one in stories
    ]


def _verdict(encoder: Any, spec: str | Sequence[str], progress: Report) -> dict[str, Any]:  # noqa: ANN401
    from firstsight.evaluation.evaluate import evaluate

    try:
        return evaluate(encoder, spec, max_frames=_MAX_ASKED, progress=progress).to_json()
    except FirstsightError as error:  # too little footage to judge by
        return {"error": str(error)}


def _checks(file: Path) -> list[list[float]]:
    """Of each check of the article's method its level, frame and mean largest similarity; at most 2,000, evenly."""
    found = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            if {"level", "frame", "mean"} <= one.keys():
                found.append([one["level"], one["frame"], round(one["mean"], 4)])
    except (OSError, ValueError):  # none yet, or half a line
        pass
    step = max(1, -(-len(found) // MAX_CHECKS))
    return found[::step]


def _read(file: Path) -> Any:  # noqa: ANN401  # JSON
    try:
        return read_json(file)
    except (OSError, ValueError):
        return None
