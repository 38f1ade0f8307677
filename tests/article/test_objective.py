import math

import pytest
import torch

from firstsight.article import objective
from firstsight.quality.health import map_similarities, pairs


def slow_similarities(maps: torch.Tensor) -> list[list[float]]:
    """The article's pair loop: flatten, divide by the length, dot product; per image."""
    result = []
    for image in maps.double():
        flat = [one.flatten() / one.flatten().norm() for one in image]
        result.append([float(flat[i] @ flat[j]) for i in range(len(flat)) for j in range(i + 1, len(flat))])
    return result


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(3, 16, 9, 7, generator=torch.Generator().manual_seed(1)) + 0.3


def test_equals_the_pair_loop(maps: torch.Tensor) -> None:
    slow = torch.tensor(slow_similarities(maps))
    unlike = pairs(map_similarities(maps))
    assert unlike.shape == (3, 120)
    torch.testing.assert_close(unlike.double(), slow.double(), atol=1e-6, rtol=0)
    assert objective.loss(unlike).item() == pytest.approx(float((slow**2).mean()), rel=1e-5)
    torch.testing.assert_close(
        objective.largest_similarity(unlike).double(), slow.abs().amax(1).double(), atol=1e-6, rtol=0
    )


def test_is_not_centred_and_does_not_care_for_scale(maps: torch.Tensor) -> None:
    similarities = map_similarities(maps)
    scaled = map_similarities(maps * torch.rand(1, 16, 1, 1).add(0.1))
    torch.testing.assert_close(scaled, similarities, atol=1e-5, rtol=0)
    assert not torch.allclose(map_similarities(maps + 1), similarities, atol=0.01)


def test_pearson_is_the_correlation_times_n_minus_one_over_n(maps: torch.Tensor) -> None:
    similarities = map_similarities(maps, similarity="pearson")
    n = 63
    expected = torch.stack([torch.corrcoef(image.flatten(1)) for image in maps]) * (n - 1) / n
    torch.testing.assert_close(similarities, expected, atol=1e-5, rtol=0)
    assert similarities[0, 0, 0].item() == pytest.approx((n - 1) / n, rel=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "pearson"])
def test_a_map_of_zeros_is_like_nothing_and_harms_no_gradient(maps: torch.Tensor, similarity: str) -> None:
    maps[:, 4] = 0
    maps.requires_grad_()
    similarities = map_similarities(maps, similarity=similarity)
    assert torch.all(similarities[:, 4] == 0)
    objective.loss(pairs(similarities)).backward()
    assert torch.isfinite(maps.grad).all()


def test_is_float32_inside_autocast(maps: torch.Tensor) -> None:
    plain = map_similarities(maps)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(map_similarities(maps), plain, atol=0, rtol=0)


def test_identical_maps_have_the_largest_loss() -> None:
    maps = torch.rand(1, 1, 5, 5).expand(1, 6, 5, 5)
    unlike = pairs(map_similarities(maps))
    assert unlike.shape == (1, math.comb(6, 2))
    assert objective.loss(unlike).item() == pytest.approx(1)
