"""`learn`: footage in, an encoder out. `resume`: an interrupted run goes on. `extend`: more footage for a run."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, fields
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Unpack, get_args, get_origin, get_type_hints

import numpy as np
import torch

from firstsight.article.run import ArticleRun
from firstsight.article.settings import ArticleOptions, ArticleSettings, article_settings
from firstsight.closed_form.learn import Beside, ClosedFormSettings, learn_closed_form, sizes_of
from firstsight.device import choose_device
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_config import read_provenance
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import RunError, SettingsError, check_choice, check_number, check_seed
from firstsight.files import check_path
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source, Spec, open_source
from firstsight.from_json import from_json
from firstsight.normality.learning import Learner, remember
from firstsight.normality.motion import MotionView
from firstsight.object_store import to_absolute
from firstsight.process import passive_waiting
from firstsight.progress import Progress, Report, silent

Method = Literal["default", "random", "article"]


class Settings(ArticleOptions, total=False):
    """The keywords of `learn` that set up a method: the fields of the settings of both, all optional."""

    max_frames: int


def settings_of(method: str, given: Settings) -> ArticleSettings | ClosedFormSettings:
    """The settings of that method, with what is given in place of its defaults.

    Raises:
        SettingsError: no such method, a setting that it does not have, or a value outside its range.
    """
    check_choice("method", method, get_args(Method))
    kind = ArticleSettings if method == "article" else ClosedFormSettings
    valid = [field.name for field in fields(kind)]
    unknown = sorted(set(given) - set(valid))
    if unknown:
        raise SettingsError(f"method {method} has no setting {unknown[0]!r}; valid are {', '.join(valid)}")
    checked = {name: _checked(name, value) for name, value in given.items()}
    if method == "article":
        return article_settings(checked)  # type: ignore[arg-type]  # the names were just checked
    return ClosedFormSettings(**checked)


def _checked(name: str, value: object) -> Any:  # noqa: ANN401  # of the kind that the setting has
    """The value in plain numbers, which can be written to a file; of a name whether it is valid is checked later."""
    kind = get_type_hints(Settings)[name]
    plain = _plain(value)
    return plain if get_origin(kind) is Literal else from_json(kind, plain, name=name)


def _plain(value: object) -> object:
    """Numbers of NumPy as those of Python."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def method_for(given: Settings) -> Method:
    """The method if none is named: the article's if a setting is given that only it has, else the default."""
    only_the_articles = {field.name for field in fields(ArticleSettings)} - {
        field.name for field in fields(ClosedFormSettings)
    }
    return "article" if only_the_articles & set(given) else "default"


_HELD_OUT, _MAX_HELD_OUT = 0.1, 0.5


@passive_waiting()
def learn(
    source: Spec,
    *,
    method: Method | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    every: int | None = None,
    frames_per_second: float | None = None,
    live_seconds: float | None = None,
    held_out: float | None = None,
    device: str = "auto",
    progress: Report = silent,
    **settings: Unpack[Settings],
) -> Encoder:
    """An encoder made for that footage, learned from its frames alone, without labels.

    Args:
        source: a video, a picture folder, several, a glob, an array uint8 (N, H, W, 3) or (N, H, W), or what
            `open_source` gave.
        method: "default" takes filters from the footage in closed form; "random" is the same with random filters;
            "article" is Multi-Perspective Neural Networks as published. None is the article's if a setting is given
            that only it has, else the default.
        seed: of all that is drawn, an integer from 0 to 2**32 - 1; the same seed, footage and number of threads give
            the same encoder.
        out: folder for the run (`config.json`, `model.safetensors`, `metrics.jsonl`, and `normal.safetensors`, what is
            normal before a camera that stands still); None keeps nothing on disk: see
            `normality.learning.learn_memory`.
        force: overwrite a run that is there already.
        start_seconds: leave out what comes before.
        end_seconds: leave out this moment and what follows.
        every: use every n-th frame.
        frames_per_second: at most so many frames a second of footage.
        live_seconds: of a camera, a pipe or an address: learn from its first so many seconds; None reads until it ends
            or until Ctrl-C, which keeps what was read.
        held_out: the article's method: share of each video's end, at most 60 s, to measure on instead; 0 to 0.5, by
            default 0.1. The default method learns from all of it.
        device: the article's method: "auto" is a GPU if there is one, else the CPU. The default method computes on the
            CPU.
        progress: called now and then.
        settings: of the method; see `ArticleSettings` and `ClosedFormSettings`.

    Returns:
        The encoder; `provenance["outcome"]` holds how learning went.

    Raises:
        SourceError: no footage, or too little of it.
        SettingsError: an option outside its range, or learning diverged.
        RunError: the folder cannot be written, holds a run already, or somebody else learns into it.
        KeyboardInterrupt: Ctrl-C, but while what is live is read; with the article's method what was learned so far is
            in `out`, to be resumed.

    Example:
        >>> encoder = learn("bikes.mp4")  # doctest: +SKIP
    """
    seed = check_seed(seed)
    method = method or method_for(settings)
    chosen = settings_of(method, settings)
    held_out = _held_out(held_out, method)
    where = _device(device, method)
    sampling = _sampling(start_seconds, end_seconds, every, frames_per_second)
    footage = open_source(source, **sampling)  # type: ignore[arg-type]  # a dict forgets which value is which
    _check_live(footage, live_seconds, method)
    provenance = {
        "method": method,
        "settings": asdict(chosen),
        "seed": seed,
        "held_out": held_out,
        "source": footage.name,
        "footage": {"paths": _paths(source) if footage.replayable else [], **sampling},
        "firstsight": metadata.version("firstsight"),
    }
    with nullcontext() if out is None else RunFolder.create(out, force=force) as folder:
        news = (_input_in_words(footage, chosen), *_until_when(footage, live_seconds))
        progress(Progress("opening", 0, None, news=news))
        if isinstance(chosen, ArticleSettings):
            run = ArticleRun(
                footage, chosen, seed=seed, held_out=held_out, device=where, provenance=provenance, folder=folder
            )
            return run.run(progress)
        learner = None if footage.replayable else Learner(view_index=1, looks_index=0)
        beside = Beside((MotionView(),), learner.add) if learner and folder else None
        encoder = learn_closed_form(
            [footage], chosen, provenance, folder, progress, live_seconds=live_seconds, beside=beside
        )
        if folder:
            remember([footage], encoder, folder, learner=learner, progress=progress)
        return encoder


@passive_waiting()
def resume(run: str | Path, *, device: str = "auto", progress: Report = silent) -> Encoder:
    """Continues an interrupted run of the article's method from its last save.

    At the same number of threads it ends with the same weights as a run that was never interrupted.

    Raises:
        RunError: no such run, it is finished, somebody else learns into it, or its footage cannot be read again, or is
            another one.
        SourceError: the footage is gone.
    """
    run = check_path(run, name="run", error=RunError)
    with RunFolder(run) as folder:
        provenance: Mapping[str, Any] = read_provenance(run)
        _check_resumable(provenance, run)
        try:
            _check_complete(provenance)
            settings = from_json(ArticleSettings, provenance["settings"], name="settings")
        except SettingsError as error:
            raise RunError(f"{run} cannot be resumed ({error}); learn it again with --force") from error
        article = ArticleRun(
            _opened_again(provenance["footage"], run),
            settings,
            seed=provenance["seed"],
            held_out=_held_out(provenance.get("held_out"), "article"),
            device=choose_device(device),
            provenance={name: value for name, value in provenance.items() if name not in {"outcome", "machine"}},
            folder=folder,
        )
        article.resume()
        return article.run(progress)


@passive_waiting()
def extend(
    run: str | Path,
    source: Spec,
    *,
    out: str | Path | None = None,
    force: bool = False,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    every: int | None = None,
    frames_per_second: float | None = None,
    progress: Report = silent,
) -> Encoder:
    """Learns a run of the default method again, from its own footage and more, and overwrites it, or into `out`.

    One bounded sample is spread over all of it, so that it costs about as much as the run did. The encoder is another
    one: what was embedded with the old one has to be embedded again.

    Args:
        run: a folder made by `learn`.
        source: the further footage, as for `learn`.
        out: another folder for what is learned; None overwrites the run.
        force: overwrite a run that is in `out` already.
        start_seconds: of the further footage, as for `learn`; so are the others.
        end_seconds: see `start_seconds`.
        every: see `start_seconds`.
        frames_per_second: see `start_seconds`.
        progress: called now and then.

    Raises:
        RunError: no such run, a run of the article's method, somebody else learns into it, or its footage cannot be
            read again.
        SourceError: footage of the run is gone, or the further footage cannot be read.
    """
    run = check_path(run, name="run", error=RunError)
    with ExitStack() as held:
        folder = held.enter_context(RunFolder(run)) if out is None else None
        provenance: Mapping[str, Any] = read_provenance(run)
        if provenance.get("method") not in ("default", "random"):
            by = "by the article's method" if provenance.get("method") == "article" else "in a way that is not known"
            raise RunError(f"{run} was learned {by}; only the default method's runs are extended")
        try:
            _check_complete(provenance)
            settings = from_json(ClosedFormSettings, provenance["settings"], name="settings")
        except SettingsError as error:
            raise RunError(f"{run} cannot be extended ({error}); learn from all the footage with a new run") from error
        sampling = _sampling(start_seconds, end_seconds, every, frames_per_second)
        further = open_source(source, **sampling)  # type: ignore[arg-type]  # a dict forgets which value is which
        known = [provenance["footage"], *provenance.get("extended_by", [])]
        sources = [*(_opened_again(footage, run) for footage in known), further]
        record = {name: value for name, value in provenance.items() if name not in {"outcome", "machine"}}
        record["extended_by"] = [*known[1:], {"paths": _paths(source) if further.replayable else [], **sampling}]
        folder = folder or held.enter_context(RunFolder.create(str(out), force=force))
        encoder = learn_closed_form(sources, settings, record, folder, progress)
        remember(sources, encoder, folder, progress=progress)
        return encoder


def _sampling(
    start_seconds: float | None, end_seconds: float | None, every: int | None, frames_per_second: float | None
) -> dict[str, float | None]:
    """The sampling as `open_source` takes it, checked, in numbers that can be written to a file."""
    sampling = Sampling(start_seconds, end_seconds, every, frames_per_second)
    return {name: getattr(sampling, name) for name in ("start_seconds", "end_seconds", "every", "frames_per_second")}


def _held_out(share: float | None, method: Method) -> float:
    if share is not None:
        share = check_number(
            "held-out share {}", share, f"0 to {_MAX_HELD_OUT}", lambda share: 0 <= share <= _MAX_HELD_OUT
        )
    if method == "article":
        return _HELD_OUT if share is None else share
    if share:
        raise SettingsError(
            f"held-out share {share}; method {method} learns from all of the footage: leave it out, or choose method "
            "article"
        )
    return 0.0


def _device(name: str, method: Method) -> torch.device:
    """Raises a SettingsError if there is no such device, or the method computes on the CPU."""
    if method == "article":
        return choose_device(name)
    device = choose_device("cpu" if name == "auto" else name)
    if device.type != "cpu":
        raise SettingsError(
            f"device {name!r}; method {method} computes on the CPU: leave it out, or choose method article"
        )
    return device


def _check_resumable(provenance: Mapping[str, Any], run: str | Path) -> None:
    """Raises a RunError if there is nothing to resume."""
    if "weights_file" in provenance:
        raise RunError(f"{run} holds the weights of {provenance['weights_file']}: there is nothing to resume in it")
    if provenance.get("method") in {"default", "random"}:
        raise RunError(
            f"{run} has nothing to resume: the default method learns in one go; add footage with `learn --extend`"
        )
    if provenance.get("outcome", {}).get("finished"):
        raise RunError(f"{run} has nothing to resume: it is finished; learn more with a new run")
    if provenance.get("method") != "article":
        raise RunError(f"{run} has nothing to resume: its method is not recorded")


def _check_complete(provenance: Mapping[str, Any]) -> None:
    """Raises a SettingsError if something is missing that learning needs."""
    missing = [name for name in ("seed", "footage", "settings") if provenance.get(name) is None]
    if missing:
        raise SettingsError(f"its {missing[0]} is not recorded: it is of an older version, or damaged")


def _opened_again(footage: Mapping[str, Any], run: str | Path) -> Source:
    """The footage that a run was learned from."""
    paths, sampling = footage["paths"], {name: value for name, value in footage.items() if name != "paths"}
    if not paths:
        raise RunError(f"{run} was learned from footage that cannot be read again; learn from all of it with a new run")
    return open_source(paths[0] if len(paths) == 1 else paths, **sampling)


def _check_live(source: Source, live_seconds: float | None, method: Method) -> None:
    """Raises a SettingsError if `live_seconds` is given for footage that ends by itself, or to the article's method."""
    if live_seconds is None:
        return
    check_number("{} s to read", live_seconds, "a time above 0, such as 600", lambda seconds: seconds > 0)
    if source.replayable:
        raise SettingsError(f"{source.name} ends by itself; choose a part of it by its start and end (--start, --end)")
    if method == "article":
        raise SettingsError(f"the article's method reads its footage again, which {source.name} cannot be")


def _until_when(source: Source, live_seconds: float | None) -> tuple[str, ...]:
    if source.replayable or live_seconds is not None:
        return ()
    return (f"{source.name}: reading until it ends or until Ctrl-C; --for 10min sets a time",)


def _input_in_words(source: Source, settings: ArticleSettings | ClosedFormSettings) -> str:
    """Which part of a picture the network gets."""
    sizes = sizes_of(source)
    first, last = sizes[0], sizes[-1]
    each = f"each {first[0]}x{first[1]} picture" if len(sizes) == 1 else "each picture"
    if isinstance(settings, ClosedFormSettings):
        text = f"{source.name}: the network gets all of {each}"
    else:
        crops = [settings.view.crop(*size) for size in sizes]
        shares = sorted({round(100 * crop.share_of(*size)) for crop, size in zip(crops, sizes, strict=True)})
        share = f"{shares[0]} %" if len(shares) == 1 else f"{shares[0]} to {shares[-1]} %"
        largest = max(crops, key=lambda crop: crop.width)
        square = f"{largest.width}x{largest.height}{'' if len(sizes) == 1 else ' at most'}"
        text = f"{source.name}: the network gets {share} of {each}, {square} in the middle"
    if len(sizes) == 1:
        return text
    return f"{text}; {len(sizes)} sizes, from {first[0]}x{first[1]} to {last[0]}x{last[1]}"


def _paths(source: Spec) -> list[str]:
    """Absolute paths of the footage; empty if it cannot be read again."""
    if isinstance(source, str | PathLike):
        return [str(to_absolute(source))]
    if isinstance(source, Sequence) and all(isinstance(path, str | PathLike) for path in source):
        return [str(to_absolute(path)) for path in source]
    return []
