"""How good is an encoder on this footage? Two questions that need no labels.

*Found again*: a frame whose view, light or cleanness has changed is searched for among all frames as they were.
*Neighbours*: frames a moment apart should be more similar than frames far apart.
"""

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Kind = Literal["view", "light", "noise"]  # of change
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# Of Q queries to R references, both frames uint8 (N, H, W, C): float32 (Q, R), higher is closer.
Similarities = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]

_MAX_QUERIES = 300
_MIN_FRAMES = 10  # with fewer, finding the right one is too easy
_STILL = 0.05  # grey levels
_LEAST_DEVIATION = 1e-3  # of the similarities of wrong frames: with less, rounding would decide
_BATCH = 50
# Frames of a video no further apart are one moment; the neighbour of a frame is the first of another moment.
SAME_SECONDS = 0.5
NEIGHBOUR_SECONDS = 3.0  # at most
# Far apart: from another source, or at least this share of the source away and so many times as far as the neighbour.
_FAR_SHARE, _FAR_TIMES = 0.25, 4.0

# Changes. Augmentation for learning (`closed_form/pairs.py`) has weaker crops and light, a larger turn, and no noise.
_MIN_SIDE, _MAX_SIDE = 0.6, 0.8  # of the picture that a view keeps
_TURN = math.radians(8)
# Natural logarithms: light between half and double, and so on.
_GAIN, _CONTRAST, _GAMMA, _BALANCE = 0.7, 0.5, 0.5, 0.2
_GRAIN = 0.08  # standard deviation of a pixel, of full scale
_BLUR = 3  # pixels become one
_MIN_LOST, _MAX_LOST = 0.3, 0.5  # of each side of the part that is missing, as when data are lost
_JPEG_QUALITY = 15


@dataclass(frozen=True)
class SelfTest:
    """The answers; None where a question makes no sense for the footage."""

    after_view: float | None  # share of frames found again after another view, 0 to 1
    after_light: float | None
    after_noise: float | None
    stands_out: float | None  # standard deviations of the wrong frames by which the right one is more similar, mean
    queries: NDArray[np.intp] = field(repr=False, compare=False)  # (Q,), indices of the frames searched for
    found: NDArray[np.float64] = field(repr=False, compare=False)  # (Q,), share of the changes it was found again after
    neighbours: float | None = None  # AUROC of neighbours against frames far apart: 0.5 is chance, 1 perfect

    @property
    def after_change(self) -> float | None:
        """The mean over the three kinds of change."""
        return float(self.found.mean()) if len(self.found) else None


_UNASKED = SelfTest(None, None, None, None, np.empty(0, np.intp), np.empty(0))


@dataclass(frozen=True)
class Times:
    """When each of N frames in order was recorded."""

    seconds: NDArray[np.float64]  # (N,)
    sources: NDArray[np.int64]  # (N,), which source each is from
    same_seconds: float = SAME_SECONDS  # frames no further apart are the same moment

    @classmethod
    def of_positions(cls, num_frames: int) -> "Times":
        """For one source of which only the order is known: a frame and the next are one moment."""
        return cls(np.arange(num_frames, dtype=np.float64), np.zeros(num_frames, np.int64), same_seconds=1.0)


def by_cosine(embed: Embed) -> Similarities:
    """The similarities of an encoder whose vectors have unit length. Frames compared with themselves are embedded once.

    That is the case where queries and references are the same array.
    """

    def similarities(queries: NDArray[np.uint8], references: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = embed(references)
        asked = vectors if queries is references else embed(queries)
        products: NDArray[np.float32] = asked @ vectors.T
        return products

    return similarities


def self_test(
    similarities: Similarities, frames: NDArray[np.uint8], times: Times | None, *, generator: torch.Generator
) -> SelfTest:
    """Both questions.

    Args:
        similarities: of changed frames to frames; called once.
        frames: uint8 (N, H, W, C).
        times: None for pictures in no order, of which each is its own moment.
        generator: of the changes; from the same state two encoders are asked the same.

    Returns:
        The answers. With fewer than 10 frames, or frames that are all alike, there is nothing to ask.
    """
    queries = queries_among(len(frames))
    if not _can_be_asked(frames, queries):
        return _UNASKED
    changed = [batch for kind in get_args(Kind) for batch in _changed(frames, queries, kind, generator)]
    *changes, unchanged = np.split(similarities(np.concatenate([*changed, frames[queries]]), frames), 4)
    by_kind = dict(zip(get_args(Kind), changes, strict=True))
    test = _answers(by_kind, _same_moment(frames, queries, times), queries)
    return test if times is None else replace(test, neighbours=_neighbour_auroc(unchanged, queries, times))


def found_again(
    vectors: Sequence[NDArray[np.float32]],
    embed_by_each: Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]],
    frames: NDArray[np.uint8],
    times: Times | None,
    *,
    generator: torch.Generator,
) -> list[SelfTest]:
    """The first question alone, for several encoders asked about the same changed frames.

    Args:
        vectors: of the frames, by each encoder.
        embed_by_each: the vectors of changed frames by each encoder.
        frames: as for `self_test`, as are the others. At most 300 of them, spread evenly, are changed.
        times: see `frames`.
        generator: see `frames`.
    """
    queries = queries_among(len(frames))
    if not _can_be_asked(frames, queries):
        return [_UNASKED] * len(vectors)
    right = _same_moment(frames, queries, times)
    similarities: list[dict[Kind, NDArray[np.float32]]] = [{} for _ in vectors]
    for kind in get_args(Kind):
        changed = [embed_by_each(batch) for batch in _changed(frames, queries, kind, generator)]
        for of_kind, asked, gallery in zip(similarities, zip(*changed, strict=True), vectors, strict=True):
            of_kind[kind] = np.concatenate(asked) @ gallery.T
    return [_answers(of_kind, right, queries) for of_kind in similarities]


def _can_be_asked(frames: NDArray[np.uint8], queries: NDArray[np.intp]) -> bool:
    """Whether there are enough frames, and not all alike."""
    if len(frames) < _MIN_FRAMES:
        return False
    return bool(frames[queries, ::2, ::2].std(axis=0, dtype=np.float64).mean() >= _STILL)


def _changed(
    frames: NDArray[np.uint8], queries: NDArray[np.intp], kind: Kind, generator: torch.Generator
) -> Iterator[NDArray[np.uint8]]:
    """The frames asked about after a change of that kind, some at a time."""
    for start in range(0, len(queries), _BATCH):
        yield perturbed(frames[queries[start : start + _BATCH]], kind, generator=generator)


def _answers(
    similarities: Mapping[Kind, NDArray[np.float32]], right: NDArray[np.bool_], queries: NDArray[np.intp]
) -> SelfTest:
    """Of the first question, from the similarities (Q, N) after each kind of change."""
    shares = {kind: _nearest_is_right(values, right) for kind, values in similarities.items()}
    return SelfTest(
        after_view=float(shares["view"].mean()),
        after_light=float(shares["light"].mean()),
        after_noise=float(shares["noise"].mean()),
        stands_out=float(np.mean([_stands_out(values, right) for values in similarities.values()])),
        queries=queries,
        found=np.mean(list(shares.values()), axis=0),
    )


def queries_among(num_frames: int) -> NDArray[np.intp]:
    """The frames that are searched for: at most 300 indices, spread evenly."""
    return np.unique(np.linspace(0, max(0, num_frames - 1), _MAX_QUERIES).round().astype(np.intp))


def _same_moment(frames: NDArray[np.uint8], queries: NDArray[np.intp], times: Times | None) -> NDArray[np.bool_]:
    """Which frames (Q, N) are right: equal to the query to the pixel, or of the same moment."""
    pictures = np.array([hash(frame.tobytes()) for frame in frames])
    same: NDArray[np.bool_] = pictures[queries, None] == pictures
    if times is not None:
        apart = np.abs(times.seconds - times.seconds[queries, None])
        same |= (times.sources == times.sources[queries, None]) & (apart <= times.same_seconds)
    return same


def _nearest_is_right(similarities: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each query (Q, N) 1 if its nearest is right, else 0; of several equally near the share that is right."""
    nearest = similarities == similarities.max(axis=1, keepdims=True)
    share: NDArray[np.float64] = (nearest & right).sum(axis=1) / nearest.sum(axis=1)
    return share


def _stands_out(similarities: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """The best right one above the mean of the wrong ones, in their standard deviations, mean over queries (Q, N)."""
    best = np.where(right, similarities, -np.inf).max(axis=1)
    wrong = np.ma.masked_array(similarities, right)
    lead = (best - wrong.mean(axis=1)) / np.maximum(wrong.std(axis=1), _LEAST_DEVIATION)
    return float(np.ma.filled(lead, 0.0).mean())


def _neighbour_auroc(similarities: NDArray[np.float32], queries: NDArray[np.intp], times: Times) -> float | None:
    """Similarity (Q, N) of each query to the first frame after its moment, against that to all frames far away."""
    since = times.seconds - times.seconds[queries, None]
    own = times.sources == times.sources[queries, None]
    later = np.where(own & (since > times.same_seconds) & (since <= NEIGHBOUR_SECONDS), since, np.inf)
    gaps, neighbours = later.min(axis=1), later.argmin(axis=1)
    lengths = np.where(own, np.abs(since), 0).max(axis=1)
    far = ~own | (np.abs(since) >= np.maximum(_FAR_SHARE * lengths, _FAR_TIMES * gaps)[:, None])
    far &= np.isfinite(gaps)[:, None]
    with_both = np.flatnonzero(far.any(axis=1))
    if len(with_both) < _MIN_FRAMES:
        return None
    return auroc(similarities[with_both, neighbours[with_both]], similarities[far])


def auroc(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float:
    """The probability that a positive scores above a negative, a tie counting half: 0.5 is chance, 1 perfect."""
    from sklearn.metrics import roc_auc_score  # takes longer to load than learning from a short clip

    is_positive = np.repeat([True, False], [len(positives), len(negatives)])
    return float(roc_auc_score(is_positive, np.concatenate([positives, negatives])))


def perturbed(frames: NDArray[np.uint8], kind: Kind, *, generator: torch.Generator) -> NDArray[np.uint8]:
    """Each frame (N, H, W, C), C 1 or 3, after a random change of that kind; same shape.

    "view" turns the camera by up to 8 degrees and shows 60 to 80 % of each side at full size; "light" changes gain,
    contrast, gamma and colour balance; "noise" blurs, adds grain, loses a rectangle of 30 to 50 % of each
    side, and saves as a poor JPEG.
    """
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    after = _CHANGES[kind](pictures, generator).clamp(0, 1)
    pixels = (after * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([_as_jpeg(picture) for picture in pixels]) if kind == "noise" else pixels


def _another_view(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, _, height, width = pictures.shape
    side, turn = _draw(_MIN_SIDE, _MAX_SIDE, num, generator), _draw(-_TURN, _TURN, num, generator)
    along, across = side * turn.cos(), side * turn.sin()
    transform = torch.zeros(num, 2, 3)
    transform[:, 0, 0], transform[:, 0, 1] = along, -across * height / width
    transform[:, 1, 0], transform[:, 1, 1] = across * width / height, along
    room = (1 - transform[:, :, :2].abs().sum(dim=2)).clamp_min(0)  # before a corner leaves the picture
    transform[:, :, 2] = room * torch.stack([_draw(-1, 1, num, generator) for _ in range(2)], dim=1)
    grid = nn.functional.affine_grid(transform, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _another_light(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, channels = pictures.shape[:2]
    gamma, contrast, gain = (
        _draw(-limit, limit, num, generator).exp()[:, None, None, None] for limit in (_GAMMA, _CONTRAST, _GAIN)
    )
    balance = _draw(-_BALANCE, _BALANCE, num * channels, generator).exp().view(num, channels, 1, 1)
    bent = pictures.pow(gamma)
    mean = bent.mean(dim=(1, 2, 3), keepdim=True)
    return ((bent - mean) * contrast + mean) * gain * balance


def _noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    height, width = pictures.shape[2:]
    small = nn.functional.interpolate(pictures, (-(-height // _BLUR), -(-width // _BLUR)), mode="area")
    blurred = nn.functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    grainy = blurred + _GRAIN * torch.randn(pictures.shape, generator=generator)
    return torch.where(_lost(pictures, generator), 0.5, grainy)


def _lost(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A rectangle of each picture: bool (N, 1, H, W)."""
    num, _, height, width = pictures.shape
    inside = []
    for length in (height, width):
        size = _draw(_MIN_LOST, _MAX_LOST, num, generator)
        start = torch.rand(num, generator=generator) * (1 - size)
        position = (torch.arange(length) + 0.5) / length
        inside.append((position >= start[:, None]) & (position < (start + size)[:, None]))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


_CHANGES: dict[Kind, Callable[[Tensor, torch.Generator], Tensor]] = {
    "view": _another_view,
    "light": _another_light,
    "noise": _noise,
}


def _as_jpeg(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "jpeg", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(file)).reshape(picture.shape)


def _draw(low: float, high: float, num: int, generator: torch.Generator) -> Tensor:
    return torch.rand(num, generator=generator) * (high - low) + low
