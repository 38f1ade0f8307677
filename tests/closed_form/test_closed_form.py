"""The default method: identities of what it promises, and footage that has nothing to teach."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import firstsight
from firstsight.cli.info import outcome_lines
from firstsight.closed_form.agreement import LayoutConfig
from firstsight.closed_form.filters import spherical_kmeans
from firstsight.closed_form.fit import DEFAULT, Reader, fit
from firstsight.closed_form.footage_kind import FootageKind, probe_indices
from firstsight.closed_form.layout import Layout
from firstsight.closed_form.learn import BoundedSample
from firstsight.closed_form.projection import (
    Deviations,
    Projection,
    Space,
    most_dims,
    principal,
    projection_without_pairs,
)
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid, pooled
from firstsight.device import generator
from firstsight.encoder.model import WholeFrame, to_inputs
from firstsight.errors import SourceError
from firstsight.footage.source import open_source


def textures(num: int, size: int = 40) -> np.ndarray:
    """Smooth random pictures, no two alike."""
    noise = torch.rand(num, 3, 9, 9, generator=generator(1))
    pictures = torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1)
    return (pictures * 255).byte().permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def small_square(moving_square: np.ndarray) -> np.ndarray:
    """Fifty frames of half the width and height."""
    return np.ascontiguousarray(moving_square[:100:2, ::2, ::2])


@pytest.fixture(scope="module")
def learned(small_square: np.ndarray) -> firstsight.Encoder:
    return firstsight.learn(small_square)


def test_the_maps_of_a_level_are_uncorrelated_over_the_footage() -> None:
    frames = textures(60)
    learned = fit(frames, seed=0, precision="float32", recipe=replace(DEFAULT, pairs=False, drop=False, layout=False))
    inputs = to_inputs(frames, torch.device("cpu"))
    for maps in learned.model.network.every_level(inputs):
        values = maps.transpose(0, 1).flatten(1).double()
        correlation = torch.corrcoef(values)
        off_diagonal = correlation - torch.eye(len(correlation))
        assert off_diagonal.abs().max() < 0.2  # responses are drawn: estimated from a part
        assert off_diagonal.abs().mean() < 0.02
        assert values.std(dim=1).mean().item() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_encoder_bit_for_bit(small_square: np.ndarray) -> None:
    vectors = [firstsight.learn(small_square[:12], seed=seed).encode(small_square[:9]) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])


def test_it_finds_the_frame_with_the_square_in_the_same_place(
    learned: firstsight.Encoder, small_square: np.ndarray
) -> None:
    vectors = learned.encode(small_square)
    neighbours = [int(np.argsort(-(vectors @ vectors[i]))[1]) for i in range(10, 45, 2)]
    distance = [abs(neighbour - i) for neighbour, i in zip(neighbours, range(10, 45, 2), strict=True)]
    assert np.median(distance) <= 1


def test_order_is_seen(learned: firstsight.Encoder, small_square: np.ndarray) -> None:
    ordered = learned.provenance["outcome"]["footage"]
    mixed = small_square[np.random.default_rng(0).permutation(len(small_square))]
    shuffled = firstsight.learn(mixed).provenance["outcome"]["footage"]
    assert ordered["ordered"]
    assert not shuffled["ordered"]
    assert shuffled["rank_by_cells"] == pytest.approx(0.5, abs=0.1)


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """A hundred frames in order, whose view moves."""
    noise = torch.rand(1, 3, 24, 140, generator=generator(3))
    ground = torch.nn.functional.interpolate(noise, (48, 500), mode="bicubic").clamp(0, 1)[0]
    wide = (ground * 255).byte().permute(1, 2, 0).numpy()
    return np.stack([wide[:, 4 * step : 4 * step + 64] for step in range(100)])


def test_colours_count_as_far_as_pairs_in_time_are_known(walk: np.ndarray, tmp_path: Path) -> None:
    encoder = firstsight.learn(walk, out=tmp_path / "walk")
    footage = encoder.provenance["outcome"]["footage"]
    num_pairs = footage["evidence"]["order"] * (1 - footage["evidence"]["next_in_place"]) * 99
    assert footage["colours"] == pytest.approx(num_pairs / (num_pairs + 256), abs=1e-6)
    assert footage["colours"] > 0.25
    assert f"colours count {100 * footage['colours']:.0f} %" in outcome_lines(encoder.provenance["outcome"])[0]
    loaded = firstsight.Encoder.load(tmp_path / "walk")
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.encode(walk[:9]), encoder.encode(walk[:9]))
    mixed = firstsight.learn(walk[np.random.default_rng(0).permutation(100)])
    assert mixed.provenance["outcome"]["footage"]["colours"] == 0
    assert (mixed.model.pooling.num_colours, mixed.model.network.colours) == (0, None)
    assert fit(walk, seed=0, precision="float32", recipe=replace(DEFAULT, pairs=False)).colours_weight == 0


def test_the_weight_of_colours_is_that_of_their_part_in_the_embedding(walk: np.ndarray) -> None:
    recipe = replace(DEFAULT, scales=(0.5,), pairs=False, layout=False, drop=False)

    def share(weight: float) -> float:
        """Of the variance of embeddings that varies with the colours."""
        model = fit(walk[::5], seed=0, precision="float32", recipe=replace(recipe, colours=weight)).model
        read = Reader(model.network, "float32")
        parts = read(walk[::5], model.pooling)
        torch.testing.assert_close(parts[-1], read.colours(walk[::5]), atol=0, rtol=0)
        flat = [part.mean(dim=0, keepdim=True).expand_as(part) for part in parts[:-1]]
        return float(model.projection([*flat, parts[-1]]).var(dim=0).sum() / model.projection(parts).var(dim=0).sum())

    little, half, whole = (share(weight) for weight in (0.2, 0.5, 1.0))
    assert little < 0.1
    assert 2 * little < half < 0.7 * whole


@pytest.mark.parametrize(
    ("frames", "warning"),
    [
        (np.zeros((12, 30, 40, 3), np.uint8), "all alike"),
        (np.full((12, 30, 40, 3), 128, np.uint8), "all alike"),
        (np.repeat(textures(1, size=30), 12, axis=0), "all alike"),
        (
            np.repeat(np.arange(12, dtype=np.uint8)[:, None, None, None], 30 * 30 * 3, 1).reshape(12, 30, 30, 3),
            "collapsed",
        ),
    ],
)
def test_footage_with_nothing_to_teach_is_said_to_be_so(frames: np.ndarray, warning: str) -> None:
    encoder = firstsight.learn(frames)
    vectors = encoder.encode(frames)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert any(warning in line for line in encoder.provenance["outcome"]["warnings"])


@pytest.mark.parametrize(
    "frames",
    [
        textures(3),
        textures(2)[[0, 0, 1]],
        textures(2)[[0, 1, 1]],
        textures(18),  # more than a batch
        textures(12)[..., 0],
        np.random.default_rng(0).integers(0, 256, (20, 30, 50, 3), dtype=np.uint8),
        textures(15, size=28),
        np.repeat(textures(10), 6, axis=2),  # six times as wide as high
        np.repeat(np.arange(0, 240, 4, dtype=np.uint8), 30 * 40 * 3).reshape(60, 30, 40, 3),  # a fade of nothing
    ],
)
def test_any_amount_size_and_shape_gives_unit_vectors(frames: np.ndarray) -> None:
    encoder = firstsight.learn(frames)
    vectors = encoder.encode(frames)
    assert vectors.shape == (len(frames), encoder.dim)
    assert vectors.dtype == np.float32
    assert encoder.dim <= 512
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_two_frames_are_too_few() -> None:
    with pytest.raises(SourceError, match="at least 3"):
        firstsight.learn(textures(2))


def test_save_and_load(tmp_path, moving_square: np.ndarray) -> None:
    encoder = firstsight.learn(moving_square[:5], out=tmp_path / "run")
    loaded = firstsight.Encoder.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.encode(moving_square[:5]), encoder.encode(moving_square[:5]))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.json", "model.safetensors", "metrics.jsonl"}
    assert (tmp_path / "run" / "model.safetensors").stat().st_size < 5_000_000


def test_the_largest_model_is_under_five_megabytes() -> None:
    network = Pyramid([PatchLevelConfig(56, 56, 5), PatchLevelConfig(28, 28, 5)], 512)
    pooling = replace(DEFAULT.pooling(FootageKind(0.5, 0.5, 0.0)), num_colours=512)
    parts = pooled(network, torch.rand(1, 3, 56, 56), pooling)
    in_dim = sum(part.shape[1] for part in parts)
    projection = Projection(in_dim, most_dims(in_dim))
    grey = [replace(config, in_channels=1, maps=2) for config in network.configs]
    layout = Layout(LayoutConfig.for_network(network), grey)
    tensors = [tensor for part in (network, projection, layout) for tensor in part.state_dict().values()]
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) < 4_990_000


def test_eight_bits_are_enough() -> None:
    features = torch.randn(500, 90, generator=generator(0)) * torch.logspace(-3, 1, 90)
    matrix = torch.randn(90, 20, generator=generator(1)) / torch.logspace(-3, 1, 90)[:, None]
    mean = features.mean(dim=0)
    exact = (features - mean) @ matrix
    projected = Projection.of(matrix, mean=mean, deviation=features.std(dim=0))([features])
    assert torch.nn.functional.cosine_similarity(exact, projected).min() > 0.999


def test_principal_equals_a_plain_decomposition() -> None:
    rows = torch.randn(300, 40, generator=generator(0)) * torch.linspace(3, 0.1, 40)
    rows -= rows.mean(dim=0)
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    for given in (rows, torch.cat([rows, torch.zeros(300, 1300)], dim=1)):
        variances, found = principal(given, 10)
        torch.testing.assert_close(variances, values[:10] ** 2 / 300, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close((found[:40].T @ directions[:10].T).abs(), torch.eye(10), atol=1e-3, rtol=0)


def test_subspace_iteration_agrees_with_the_exact_problem() -> None:
    spectrum = torch.linspace(0, 8, 1500).neg().exp()
    rows = torch.randn(1400, 1500, generator=generator(0)) * spectrum
    rows -= rows.mean(dim=0)
    exact = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).flip(0)
    variances, directions = principal(rows, 50)
    torch.testing.assert_close(variances[:25], exact[:25], rtol=0.08, atol=0)
    assert (rows @ directions).square().sum() / len(rows) > 0.92 * exact[:50].sum()
    torch.testing.assert_close(directions.T @ directions, torch.eye(50), atol=1e-4, rtol=0)


def test_frames_that_are_there_twice_change_no_direction() -> None:
    """As slides, or a film stored at twice its rate: there are fewer directions than frames."""
    features = torch.randn(20, 400, generator=generator(0))
    once = projection_without_pairs(features.clone(), [400])
    twice = projection_without_pairs(features.repeat(2, 1), [400])
    assert once.dim == twice.dim == 19
    others = torch.randn(50, 400, generator=generator(1))
    alike = [torch.nn.functional.normalize(one([others]), dim=1) for one in (once, twice)]
    torch.testing.assert_close(*(rows @ rows.T for rows in alike), atol=0.02, rtol=0)


def test_a_direction_that_differs_within_pairs_counts_less() -> None:
    features = torch.randn(1200, 6, generator=generator(0))
    restless = torch.randn(1200, 6, generator=generator(1)) * torch.tensor([3.0, 0.1, 0.1, 0.1, 0.1, 0.1])
    plain = projection_without_pairs(features.clone(), [6])
    space = Space.of(features.clone(), [6])
    differences = space.to_inner(restless) - space.to_inner(torch.zeros(1200, 6))
    taught = space.projection([Deviations(differences[:, None], weight=1)])

    def share(projection: object) -> float:
        rows = projection([torch.eye(6) + projection.mean]).norm(dim=1)
        return float(rows[0] / rows.norm())

    assert share(taught) < 0.5 * share(plain)


def test_kmeans_finds_directions() -> None:
    centres = torch.nn.functional.normalize(torch.randn(5, 20, generator=generator(0)), dim=1)
    points = centres.repeat(50, 1) + 0.02 * torch.randn(250, 20, generator=generator(1))
    found = spherical_kmeans(points, 40, generator=generator(3))  # more than there are: each direction is found
    assert (found @ centres.T).max(dim=0).values.min() > 0.98
    torch.testing.assert_close(found.norm(dim=1), torch.ones(40))


def test_kmeans_with_mirror_images_needs_half_the_centres() -> None:
    centres = torch.nn.functional.normalize(torch.randn(5, 20, generator=generator(0)), dim=1)
    points = torch.cat([centres, centres.flip(1)]).repeat(50, 1) + 0.02 * torch.randn(500, 20, generator=generator(1))
    found = spherical_kmeans(points, 40, generator=generator(3), mirrored=lambda rows: rows.flip(1))
    closest = torch.maximum(found @ centres.T, found.flip(1) @ centres.T)
    assert closest.max(dim=0).values.min() > 0.98
    assert closest.max(dim=1).values.min() > 0.9


@pytest.mark.parametrize(("ratio", "degree"), [(0.3, 1), (0.8, 1), (0.95, 0.5), (1.03, 0.2333), (1.05, 0), (9.0, 0)])
def test_left_and_right_differ_by_degrees(ratio: float, degree: float) -> None:
    kind = FootageKind(0.5, 0.5, ratio)
    assert kind.handedness == pytest.approx(degree, abs=1e-3)
    pooling = DEFAULT.pooling(kind)
    assert (pooling.mirror, pooling.odd_weight) == (not degree, kind.handedness or 1.0)


@pytest.mark.parametrize("num", [3, 10, 39, 700, 5000])
def test_probe_indices(num: int) -> None:
    indices = probe_indices(num)
    assert indices.min() == 0
    assert indices.max() == num - 1
    assert len(indices) <= 640


@pytest.mark.parametrize(("num", "most"), [(5, 10), (10, 10), (57, 10), (240, 10), (240, 100)])
def test_a_bounded_sample_is_spread_evenly(num: int, most: int, moving_square: np.ndarray) -> None:
    numbered = np.repeat(np.arange(num, dtype=np.uint8)[:, None], 48 * 64, axis=1).reshape(num, 48, 64)
    sample = BoundedSample(most)
    frames = sample.read([open_source(numbered)], WholeFrame(24, 24, channels=1), report=lambda _: None)
    assert sample.num_read == num
    assert len(frames) == min(num, most)
    gaps = np.diff(frames[:, 0, 0, 0].astype(int))
    assert gaps.max(initial=1) <= 2 * -(-num // most)
    assert frames[0, 0, 0, 0] == 0


@pytest.mark.parametrize("size", [28, 96])
def test_small_grey_pictures_of_16_bits_see_as_in_8(size: int) -> None:
    frames = textures(4, size)[..., 0]
    deep = frames.astype(np.uint16) * 257
    shallow_encoder, deep_encoder = (firstsight.learn(each) for each in (frames, deep))
    np.testing.assert_array_equal(deep_encoder.encode(deep), shallow_encoder.encode(frames))
