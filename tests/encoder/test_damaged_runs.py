"""What a run's files state is not believed before it is checked: one line, whatever stands there."""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import firstsight
from firstsight.cli.info import level_table, outcome_lines
from firstsight.closed_form.model import ClosedFormModel
from firstsight.closed_form.projection import Projection
from firstsight.closed_form.pyramid import PatchLevelConfig, PoolingConfig, Pyramid, part_dims, pooled
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import WholeFrame
from firstsight.encoder.saved import WEIGHTS_FILE, quick_digest
from firstsight.errors import FirstsightError, RunError, SettingsError
from firstsight.from_json import from_json

CONFIG_FILE = "config.json"
_SMALL = {"num_levels": 2, "maps": 4, "hidden_maps": 8, "crop_size": 48, "input_size": 32, "frames_per_level": 30}
_WRONG = (None, -1, 0, 3, 10**9, 10**30, 10**400, 0.5, 1e308, float("nan"), True, "x", "", [], [[]], [0], {}, {"a": 1})


@pytest.fixture(scope="module")
def runs(moving_square: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    firstsight.learn(moving_square[:12], out=folder / "default")
    firstsight.learn(moving_square, out=folder / "article", **_SMALL)
    return {"default": folder / "default", "article": folder / "article"}


def places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in it."""
    if path:
        yield path
    children = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def put(content: Any, path: tuple, value: Any) -> Any:
    changed = copy.deepcopy(content)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("method", ["default", "article"])
def test_whatever_a_configuration_states_is_one_line_or_a_run_that_works(
    runs: dict[str, Path], method: str, tmp_path: Path, moving_square: np.ndarray
) -> None:
    run = shutil.copytree(runs[method], tmp_path / "run")
    content = json.loads((run / CONFIG_FILE).read_text())
    cases = [(path, value) for path in places(content) for value in _WRONG]
    refused = []
    for path, value in random.Random(0).sample(cases, 400):
        (run / CONFIG_FILE).write_text(json.dumps(put(content, path, value)))
        try:
            encoder = Encoder.load(run)
            assert np.isfinite(encoder.encode(moving_square[:1])).all()
        except FirstsightError as error:
            refused.append(str(error))
            continue
        level_table(encoder)
        outcome_lines(encoder.provenance.get("outcome", {}))
        repr(encoder)
    assert len(refused) > 150
    assert not [line for line in refused if "\n" in line]


@pytest.mark.parametrize(
    ("method", "path", "value", "message"),
    [
        ("default", ("pooling", "mean_grids"), [0], "each of 1, 2 or 4"),
        ("default", ("pooling", "mirror"), 1, r"pooling.mirror is 1; valid is bool"),
        ("default", ("preprocessing", "width"), 10**9, "at most"),
        ("default", ("levels", 0, "filters"), 10**8, "weights"),
        ("article", ("levels", 0, "kernel_size"), 10**6, "damaged"),
        ("article", ("preprocessing", "input_size"), 10**9, "at most"),
        ("article", ("levels",), [], "damaged"),
        ("article", ("provenance", "outcome", "levels", 0, "frame"), "x", r"provenance.outcome.levels\[0\].frame"),
        ("article", ("provenance", "outcome"), [], r"provenance.outcome is \[\]; valid is dict"),
        ("article", ("provenance",), 3, "provenance is 3"),
        ("default", ("provenance", "outcome", "seconds"), float("nan"), "NaN is no number"),
        ("default", ("provenance", "outcome", "footage", "contributions"), None, "contributions is null"),
    ],
)
def test_the_error_names_what_is_wrong(
    runs: dict[str, Path], tmp_path: Path, method: str, path: tuple, value: Any, message: str
) -> None:
    run = shutil.copytree(runs[method], tmp_path / "run")
    content = json.loads((run / CONFIG_FILE).read_text())
    (run / CONFIG_FILE).write_text(json.dumps(put(content, path, value)))
    with pytest.raises(RunError, match=message):
        Encoder.load(run)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, b"\xff\xfe".decode("latin-1")])
def test_no_configuration_at_all(runs: dict[str, Path], tmp_path: Path, content: str) -> None:
    run = shutil.copytree(runs["article"], tmp_path / "run")
    (run / CONFIG_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match="cannot be read"):
        Encoder.load(run)


def with_nan(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[0] = torch.nan


def with_infinity(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[-1] = -torch.inf


def of_another_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["levels.0.hidden.weight"] = torch.zeros(8, 3, 3, 3)


def of_another_type(tensors: dict[str, torch.Tensor]) -> None:
    tensors["levels.0.hidden.bias"] = tensors["levels.0.hidden.bias"].long()


def without_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["levels.1.maps.weight"]


def with_one_more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["extra"] = torch.zeros(3)


@pytest.mark.parametrize("as_old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize(
    "damage", [with_nan, with_infinity, of_another_shape, of_another_type, without_one, with_one_more]
)
def test_damaged_weights(runs: dict[str, Path], tmp_path: Path, damage: Any, as_old: bool) -> None:
    """A run of an earlier version does not say which weights it was written for; they are looked at all the same."""
    run = shutil.copytree(runs["article"], tmp_path / "run")
    tensors = safetensors.torch.load_file(run / WEIGHTS_FILE)
    damage(tensors)
    safetensors.torch.save_file(tensors, run / WEIGHTS_FILE)
    if as_old:
        content = json.loads((run / CONFIG_FILE).read_text())
        del content["weights"]
        (run / CONFIG_FILE).write_text(json.dumps(content))
    with pytest.raises(RunError, match="is damaged"):
        Encoder.load(run)


@pytest.mark.parametrize("number", [-1, 16])
def test_a_pixel_of_a_colour_that_there_is_not(tmp_path: Path, number: int) -> None:
    network, pooling = Pyramid([PatchLevelConfig(24, 24, 5, filters=8, maps=4)], 16), PoolingConfig(num_colours=16)
    network.colours.nearest[:] = torch.arange(len(network.colours.nearest)) % 16
    projection = Projection(sum(part_dims(network, pooling)), 4)
    Encoder(ClosedFormModel(WholeFrame(24, 24), network, pooling, projection)).save(tmp_path / "run")
    assert Encoder.load(tmp_path / "run").encode(np.zeros((1, 24, 24, 3), np.uint8)).shape == (1, 4)
    network.colours.nearest[7] = number
    Encoder(ClosedFormModel(WholeFrame(24, 24), network, pooling, projection)).save(tmp_path / "run")
    with pytest.raises(RunError, match="number of a colour that is none of 16"):
        Encoder.load(tmp_path / "run")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_weights_that_are_no_file_are_not_waited_for(
    runs: dict[str, Path], tmp_path: Path, make: Callable[[Path], object]
) -> None:
    run = Path(shutil.copytree(runs["default"], tmp_path / "run"))
    (run / WEIGHTS_FILE).unlink()
    make(run / WEIGHTS_FILE)
    with pytest.raises(RunError, match="no regular file"):
        Encoder.load(run)


@pytest.mark.parametrize("left_out", ["embedding", "footage"])
def test_an_outcome_that_lacks_a_part_is_told_without_it(runs: dict[str, Path], left_out: str) -> None:
    outcome = dict(Encoder.load(runs["default"]).provenance["outcome"])
    del outcome[left_out]
    assert not [line for line in outcome_lines(outcome) if line.startswith("footage:")]


@pytest.mark.parametrize("changed", [{"kept": False}, {"after_change": None}])
def test_levels_that_were_not_kept_or_not_tested_have_no_shares(runs: dict[str, Path], changed: dict) -> None:
    outcome = copy.deepcopy(dict(Encoder.load(runs["default"]).provenance["outcome"]))
    for level in outcome["footage"]["contributions"]:
        level.update(changed)
    assert not [line for line in outcome_lines(outcome) if line.startswith("found again")]


def test_a_number_that_is_none_is_refused_wherever_it_stands(runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["default"], tmp_path / "run"))
    content = json.loads((run / CONFIG_FILE).read_text())
    content["provenance"]["odd"] = float("nan")
    (run / CONFIG_FILE).write_text(json.dumps(content))
    with pytest.raises(RunError, match="NaN is no number of JSON"):
        Encoder.load(run)


@pytest.mark.parametrize("num_written", [0, 1, 2])
def test_an_overwritten_run_is_the_old_one_or_the_new_one(
    runs: dict[str, Path], tmp_path: Path, num_written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short after any number of files: weights and words are of the same run."""
    from firstsight.encoder import saved

    run = shutil.copytree(runs["article"], tmp_path / "run")
    old, new = Encoder.load(run), Encoder.load(runs["default"])
    replace, put_in_place = Path.replace, []

    def replace_some(path: Path, target: Path) -> Path:
        if len(put_in_place) == num_written:
            raise KeyboardInterrupt
        put_in_place.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        new.save(run)
    monkeypatch.undo()
    found = Encoder.load(run)
    expected = new if num_written == 2 else old
    assert (found.fingerprint, found.provenance) == (expected.fingerprint, expected.provenance)
    new.save(run)
    assert Encoder.load(run).provenance == new.provenance
    assert not (run / saved.NEXT_CONFIG_FILE).exists()


def test_a_run_that_is_saved_while_it_is_read_is_the_new_one(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firstsight.encoder import saved

    run, new = shutil.copytree(runs["article"], tmp_path / "run"), Encoder.load(runs["default"])
    read = saved._read_weights

    def read_after_a_save(folder: Path, config: dict[str, object]) -> dict[str, torch.Tensor]:
        monkeypatch.undo()
        new.save(run)
        return read(folder, config)

    monkeypatch.setattr(saved, "_read_weights", read_after_a_save)
    assert Encoder.load(run).fingerprint == new.fingerprint


def test_a_fingerprint_is_never_stale(runs: dict[str, Path]) -> None:
    for run in runs.values():
        encoder = Encoder.load(run)
        before = encoder.fingerprint
        name, tensor = next(iter(encoder.model.network.state_dict().items()))
        tensor.data[(0,) * tensor.ndim] += 1  # unseen by PyTorch's count of versions
        after = encoder.fingerprint
        assert before != after, name
        tensor.data[(0,) * tensor.ndim] -= 1
        assert encoder.fingerprint == encoder.fingerprint != after


def test_a_fingerprint_is_computed_once(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from firstsight.encoder import saved

    encoder = Encoder.load(runs["article"])
    before = encoder.fingerprint
    monkeypatch.setattr(saved, "fingerprint", lambda _: pytest.fail("computed again"))
    assert encoder.fingerprint == before


def test_the_quick_digest_sees_shapes_and_settings(runs: dict[str, Path]) -> None:
    encoder = Encoder.load(runs["default"])
    pooling = encoder.model.pooling
    mirrored = replace(encoder.model, pooling=PoolingConfig(pooling.mean_grids, mirror=not pooling.mirror))
    assert quick_digest(mirrored) != quick_digest(encoder.model)


@pytest.mark.parametrize("mirror", [False, True])
def test_the_lengths_of_parts_are_those_that_are_read(runs: dict[str, Path], mirror: bool) -> None:
    network = Encoder.load(runs["default"]).model.network
    config = PoolingConfig((1, 2, 4), (1, 2), mirror=mirror)
    inputs = torch.rand(1, 3, network.configs[0].height, network.configs[0].width)
    assert [part.shape[1] for part in pooled(network, inputs, config)] == part_dims(network, config)


@pytest.mark.parametrize(
    ("kind", "value"), [(int, True), (int, 1.0), (float, "1"), (int | None, "x"), (tuple[int, ...], 3), (float, 1e308)]
)
def test_types_are_meant(kind: Any, value: Any) -> None:
    with pytest.raises(SettingsError, match="valid is"):
        from_json(kind, value, name="it")


def test_what_fits_is_given_back() -> None:
    assert from_json(tuple[float, ...], [1, 0.5], name="it") == (1, 0.5)
    assert from_json(int | None, None, name="it") is None
