"""What indexing tells while it works and when it is done."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class IndexProgress:
    """Where indexing is."""

    what: str  # the part under way: "embedding"
    source: str  # the one that is looked at
    num_done: int  # sources
    num_sources: int
    num_frames: int  # embedded so far
    news: tuple[str, ...] = ()  # lines worth keeping: a source could not be read


Report = Callable[[IndexProgress], None]


def silent(_: IndexProgress) -> None:
    """Reports nothing."""


@dataclass
class Indexed:
    """What indexing did, as names of sources."""

    added: list[str] = field(default_factory=list)  # embedded for the first time
    changed: list[str] = field(default_factory=list)  # embedded anew: other content, or sampled otherwise
    copied: list[str] = field(default_factory=list)  # of the same content as another: its rows were copied
    moved: list[str] = field(default_factory=list)  # the same file at another place
    unchanged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # a line for each source that cannot be read
    failed_before: list[str] = field(default_factory=list)  # the same, not tried again: they have not changed since
    own_rate: list[str] = field(default_factory=list)  # of the unchanged: left at the rate they were given once
    lost: dict[str, int] = field(default_factory=dict)  # frames that could not be decoded, by source
    num_frames: int = 0  # embedded
    num_skipped: int = 0  # frames that could not be decoded
    seconds: float = 0.0

    @property
    def num_readable(self) -> int:
        """Sources that are in the library now."""
        return sum(map(len, (self.added, self.changed, self.copied, self.moved, self.unchanged)))
