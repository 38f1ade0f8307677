"""Backoff: growing pauses between attempts to reach what is away, a camera or a receiver."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from firstsight.errors import SettingsError


@dataclass(frozen=True)
class Backoff:
    """Pauses that double up to a maximum, in seconds."""

    first_seconds: float = 1.0
    max_seconds: float = 60.0  # a camera that was off for a night is back within a minute

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.max_seconds:
            raise SettingsError(f"{self}: valid are seconds above 0, the maximum not below the first")

    def pauses(self, random: Random | None = None) -> Iterator[float]:
        """The pause before each new attempt, without end.

        Each is shortened at random by up to a half, so that many clients of one server do not return at once.

        Source: exponential backoff with jitter, Brooker, "Exponential backoff and jitter", 2015.
        """
        random, longest = random or Random(), self.first_seconds  # noqa: S311, nothing is kept secret by it
        while True:
            yield longest * (1 - random.random() / 2)
            longest = min(2 * longest, self.max_seconds)
