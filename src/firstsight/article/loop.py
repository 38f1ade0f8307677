"""The article's training loop: level by level, by gradient, until the maps of a level are dissimilar.

Source: Ozmermer, "Multi-Perspective Neural Networks", 2020.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from firstsight import device
from firstsight.article import objective, stopping
from firstsight.article.network import Network
from firstsight.article.settings import ArticleSettings
from firstsight.article.stopping import Check, StoppingState
from firstsight.encoder.saved import check_finite, fill
from firstsight.errors import SettingsError
from firstsight.quality.health import map_similarities, pairs


@dataclass(frozen=True)
class Step:
    """The result of one step of learning."""

    level: int
    frame: int  # within the level, of the last frame of the batch
    loss: float
    checks: tuple[Check, ...]


class ArticleLoop:
    """Learns a network in place, a batch at a time.

    One optimiser holds the weights of all levels; those of later levels get no gradient and stay as they are.
    """

    def __init__(self, network: Network, settings: ArticleSettings) -> None:
        self.network = network
        self.settings = settings
        self.rule = settings.rule
        self.state = StoppingState()
        self.optimiser = _optimiser(network, settings)

    @property
    def finished(self) -> bool:
        """Whether every level has ended."""
        return stopping.finished(self.rule, self.state)

    def step(self, inputs: Tensor) -> Step:
        """Learns from one batch (N, channels, H, W) in [0, 1].

        The stopping rule gets the frames of a batch one by one, up to the one that ends the level.

        Raises:
            SettingsError: learning diverged; the network is then no longer usable.
        """
        before = self.state
        similarities = pairs(map_similarities(self._maps(inputs), similarity=self.settings.similarity))
        loss = objective.loss(similarities)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # missing from PyTorch's stubs
        self.optimiser.step()
        checks = self._observe(objective.largest_similarity(similarities.detach()).tolist())
        return Step(before.level, before.frame + len(inputs) - 1, loss.item(), checks)

    def tensors(self) -> dict[str, Tensor]:
        """The state of the network and of the optimiser, by name, on the CPU."""
        found = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            found |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave.

        Raises:
            SettingsError, KeyError, ValueError, IndexError, RuntimeError: they are damaged, or of another network.
        """
        check_finite(tensors)
        fill(self.network, tensors, prefix="network.")
        weights, state = list(self.network.parameters()), dict[int, dict[str, Tensor]]()
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                if value.ndim and value.shape != weights[int(index)].shape:
                    raise SettingsError(f"{name} is not of the shape of its weights")
                state.setdefault(int(index), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})

    def _maps(self, inputs: Tensor) -> Tensor:
        """The maps of the level that learns."""
        level = self.state.level
        with device.arithmetic(inputs.device, self.settings.precision):
            if self.settings.freeze_earlier_levels and level > 1:
                with torch.no_grad():
                    inputs = self.network(inputs, level=level - 1)
                maps: Tensor = self.network.levels[level - 1](inputs)
            else:
                maps = self.network(inputs, level=level)
        return maps

    def _observe(self, values: list[float]) -> tuple[Check, ...]:
        if not all(map(math.isfinite, values)):
            raise SettingsError(
                f"learning diverged at level {self.state.level}, frame {self.state.frame}; "
                f"use a learning rate below {self.settings.learning_rate:g}"
            )
        checks: list[Check] = []
        for value in values:
            self.state, check = stopping.update(self.rule, self.state, value)
            if check is not None:
                checks.append(check)
                if check.outcome != "go on":
                    break
        return tuple(checks)


def _optimiser(network: Network, settings: ArticleSettings) -> torch.optim.Optimizer:
    # foreach: one call for all weights instead of one for each, which is faster at a batch of one frame.
    if settings.optimiser == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.learning_rate, foreach=True)
    return torch.optim.SGD(network.parameters(), lr=settings.learning_rate, foreach=True)
