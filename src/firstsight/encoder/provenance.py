"""How an encoder came to be, as it is kept with it: what is read from it must be there, and of these types."""

from typing import Any, Literal, NotRequired, TypedDict


class LevelEnd(TypedDict):
    """How a level of the article's method ended."""

    level: int
    frame: int
    outcome: Literal["threshold", "cap", "go on"]


class LevelHealth(TypedDict):
    """A level, measured over some frames."""

    level: int
    mean_max_similarity: float
    mean_similarity: float
    num_dead_maps: int
    num_frames: int


class Contribution(TypedDict):
    """What a level of the default method adds."""

    level: int
    after_change: float | None
    kept: bool


class FootageFacts(TypedDict):
    """What the default method found out about the footage."""

    ordered: bool
    moving: bool
    mirror: bool
    dim: int
    contributions: list[Contribution]


class EmbeddingFacts(TypedDict):
    """The embedding as a whole."""

    spread: float
    effective_rank: float


class Outcome(TypedDict):
    """How learning went."""

    finished: NotRequired[bool]
    levels: NotRequired[list[LevelEnd]]
    health: NotRequired[list[LevelHealth]]
    health_before: NotRequired[list[LevelHealth]]
    frames_in_a_pass: NotRequired[int | None]
    frames_skipped: NotRequired[int]
    skipped_by_file: NotRequired[dict[str, Any]]
    frames_learned_from: NotRequired[int]
    seconds: NotRequired[float]
    footage: NotRequired[FootageFacts]
    embedding: NotRequired[EmbeddingFacts]
    warnings: NotRequired[list[str]]


class Footage(TypedDict):
    """What was learned from, to be read again."""

    paths: list[str]
    start_seconds: float | None
    end_seconds: float | None
    every: int | None
    frames_per_second: float | None


class Provenance(TypedDict):
    """Everything may be missing: of an encoder made by hand nothing is known."""

    method: NotRequired[str | None]
    settings: NotRequired[dict[str, Any]]
    seed: NotRequired[int]
    held_out: NotRequired[float | None]
    source: NotRequired[str]
    weights_file: NotRequired[str]
    firstsight: NotRequired[str]
    footage: NotRequired[Footage]
    extended_by: NotRequired[list[Footage]]
    machine: NotRequired[dict[str, Any]]
    outcome: NotRequired[Outcome]
