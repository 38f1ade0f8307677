"""What the footage itself shows about its frames: which belong together, whether time and position say so, and how far
the layout can be trusted beside the vectors.

Some frames are asked for their most similar others. Which of those show the same thing nobody says; a mixture model
of two raters, the vectors and the layout, infers it: wrong candidates scatter around the mean of their list, matches
are shifted, and a list has a few or none.

Source: expectation maximisation, Dempster, Laird, Rubin, 1977; the linear discriminant, Fisher, 1936.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.closed_form.agreement import matched
from firstsight.closed_form.layout import NUM_CANDIDATES, Layouts, candidates

_NUM_QUERIES = 200
_NUM_REFERENCES = 500
_NUM_LONG = 50  # queries
_LONG = 32  # frames: what is at the same position that much later stands still
_MAX_MATCHES = 5  # in a list
_ITERATIONS, _ENOUGH = 300, 1e-7  # of the relative change of the likelihood
_SURE = 0.9  # posterior probability of a pair that is used as known
_MAX_EXPONENT = 30.0
_NUM_BLOCKS = 10
_PRIOR_MATCHES = 20  # at the same position, and told by both raters alike: assumed where hardly any are found
_LEAST_UNRELATED = 1e-3
_NEGLIGIBLE = 0.05  # a weight of the layout that moves no similarity by more: nothing is asked then


@dataclass(frozen=True)
class Sample:
    """Some frames of the footage, and which of them are asked for their most similar others."""

    numbers: NDArray[np.intp]  # of the frames, ascending
    queries: NDArray[np.intp]  # positions in `numbers`

    @classmethod
    def of(cls, num_frames: int) -> "Sample":
        """Evenly spread over so many frames; of the queries the frames before and after too."""
        queries = spread(num_frames, _NUM_QUERIES)
        long = queries[:: max(1, len(queries) // _NUM_LONG)][:, None] + _long_lag(num_frames) * np.array([-1, 1])
        near = np.concatenate([*(queries + lag for lag in (-1, 0, 1)), long.flatten()])
        inside = near[(near >= 0) & (near < num_frames)]
        numbers = np.unique(np.concatenate([inside, spread(num_frames, _NUM_REFERENCES)]))
        return cls(numbers, np.searchsorted(numbers, queries))

    @property
    def num_frames(self) -> int:
        """Of the footage, whose last frame is in every sample."""
        return int(self.numbers[-1]) + 1

    def beside(self, query: int, lag: int) -> list[int]:
        """The positions of the frames that are so many before and after, as far as there are such."""
        wanted = [self.numbers[query] - lag, self.numbers[query] + lag]
        found = [int(np.searchsorted(self.numbers, number)) for number in wanted]
        return [
            position
            for position, number in zip(found, wanted, strict=True)
            if position < len(self.numbers) and self.numbers[position] == number
        ]


class Judge:
    """The agreement in layout of a sample's queries with its frames, each computed once.

    Args:
        sample: of S frames.
        layouts: of these.
    """

    def __init__(self, sample: Sample, layouts: Layouts) -> None:
        self.sample, self.layouts = sample, layouts
        shape = (len(sample.queries), len(sample.numbers))
        self._known = torch.full((2, *shape), float("nan"), dtype=torch.float64)

    def __call__(self, row: int, positions: Tensor) -> Tensor:
        """The logarithm of the agreement of a query with frames at those positions, and the share in place, (2, K)."""
        new = positions[self._known[0, row, positions].isnan()]
        if len(new):
            cells = self.layouts.cells
            found = matched(cells[self.sample.queries[row]].numpy(), cells[new].numpy())
            measured = np.stack([np.log(found.agreement, dtype=np.float64), found.in_place])
            self._known[:, row, new] = torch.from_numpy(measured)
        return self._known[:, row, positions]


def _long_lag(num_frames: int) -> int:
    return max(2, min(_LONG, num_frames // 4))


def _window(sample: Sample, order: float) -> int:
    """Frames before and after one that are no candidates, as far as the footage is in order; half of it is, at most."""
    return max(1, min(round(_LONG * order), sample.num_frames // 4))


def spread(num: int, most: int) -> NDArray[np.intp]:
    """At most so many of the numbers 0 to num - 1, spread evenly."""
    return np.unique(np.linspace(0, num - 1, most).round().astype(np.intp))


@dataclass(frozen=True)
class Lists:
    """What both raters give to the candidates of each query, and to its neighbours in time."""

    ratings: Tensor  # float64 (L, n, 2): cosine of the vectors, logarithm of the agreement in layout
    positions: Tensor  # (L, n), of the candidates in the sample
    in_place: Tensor  # (L, n), share of the agreement that is of cells at the same position
    next_ratings: Tensor  # (L, 2, 2), NaN where there is no such neighbour: one before, one after
    next_in_place: Tensor  # (L, 2)
    long_in_place: Tensor  # (L, 2), of neighbours that are long before and after


def rate(vectors: Tensor, judge: Judge, *, window: int, rows: Sequence[int] | None = None) -> Lists:
    """The lists of the sample's queries, or of some, without frames that are at most `window` before or after.

    Args:
        vectors: of the sample's frames, unit length (S, dim).
        judge: of the sample.
        window: frames of the footage.
        rows: which of the queries.
    """
    sample, in_place = judge.sample, judge.layouts.in_place
    rows = range(len(sample.queries)) if rows is None else rows
    queries = sample.queries[list(rows)]
    asked = torch.from_numpy(queries)
    near = torch.from_numpy(np.abs(sample.numbers[queries][:, None] - sample.numbers[None])) <= window
    cosines = vectors[asked] @ vectors.T
    placed = (in_place[asked] @ in_place.T).masked_fill(near, -2)
    num_left = int((~near).sum(dim=1).min()) if len(near) else 0
    chosen = candidates(cosines.masked_fill(near, -2), placed, max(1, min(NUM_CANDIDATES, num_left)))
    num, long = chosen.shape[1], _long_lag(sample.num_frames)
    ratings = torch.full((len(rows), num + 4, 3), float("nan"), dtype=torch.float64)
    for number, (row, query) in enumerate(zip(rows, queries, strict=True)):
        beside = {
            num + 2 * k + j: p for k, lag in enumerate((1, long)) for j, p in enumerate(sample.beside(query, lag))
        }
        columns = [*range(num), *beside]
        positions = torch.tensor([*chosen[number].tolist(), *beside.values()])
        ratings[number, columns, 0] = cosines[number, positions].double()
        ratings[number, columns, 1:] = judge(row, positions).T
    both, shares = ratings[..., :2], ratings[..., 2].float()
    return Lists(
        both[:, :num],
        chosen,
        shares[:, :num],
        both[:, num : num + 2],
        shares[:, num : num + 2],
        shares[:, num + 2 :],
    )


@dataclass(frozen=True)
class Mixture:
    """Lists explained: in units of the spread in lists, around each list's mean."""

    shift: Tensor  # d, (2,), of matches
    covariance: Tensor  # S, (2, 2), of wrong candidates
    posterior: Tensor  # (L, n): probability that a candidate is a match
    scale: Tensor  # (2,)
    likelihood: float


def explain(ratings: Tensor, known: Tensor | None = None, known_weight: float = 0.0) -> Mixture:
    """Expectation maximisation, started from each rater's best candidates, from both together and from what is known.

    Args:
        ratings: (L, n, 2).
        known: (K, 2), ratings of further frames less their list's mean, each of which counts as so many matches:
        known_weight: 0 to 1.
    """
    if known is None or not known_weight:
        known = ratings.new_zeros(0, 2)
    centred = ratings - ratings.mean(dim=1, keepdim=True)
    scale = centred.reshape(-1, 2).std(dim=0).clamp_min(1e-9)
    values, matches = (centred / scale).numpy(), (known / scale).numpy()
    rows = np.arange(len(values))
    starts = [
        values[rows, score.argmax(axis=1)].mean(axis=0) for score in (values[..., 0], values[..., 1], values.sum(-1))
    ]
    if len(matches):
        starts.append(matches.mean(axis=0))
    found = [_maximised(values, matches, known_weight, start) for start in starts]
    *parts, likelihood = max(found, key=lambda one: one[-1])
    shift, covariance, posterior = map(torch.from_numpy, parts)
    return Mixture(shift, covariance, posterior, scale, likelihood)


# In NumPy: the arrays are small, and PyTorch takes four times as long for as many small steps.
_Array = NDArray[np.floating]


def _maximised(
    values: _Array, known: _Array, known_weight: float, shift: _Array
) -> tuple[_Array, _Array, _Array, float]:
    """The shift, the covariance, the posterior and the likelihood that it ends at."""
    length = values.shape[1]
    most = min(_MAX_MATCHES, length)
    ways = np.array([math.comb(length, m) for m in range(most + 1)], float)
    counts = np.full(most + 1, 1 / (most + 1))
    flat = values.reshape(-1, 2)
    num, squares, known_sum = len(flat) + known_weight * len(known), flat.T @ flat, known_weight * known.sum(axis=0)
    covariance = np.cov(flat.T) + 1e-6 * np.eye(2)
    likelihood, posterior = -math.inf, np.zeros(values.shape[:2])
    inverse = np.linalg.inv(covariance)
    for _ in range(_ITERATIONS):
        odds = _odds(values, shift, inverse)
        sums = _symmetric_sums(odds, most)
        prior = counts / ways
        by_count = sums[-1] * prior
        evidence = by_count.sum(axis=1)
        posterior = (_with_each(odds, sums, prior) / evidence[:, None]).clip(0, 1)
        counts = (by_count / evidence[:, None]).mean(axis=0)
        away = known - shift
        exponent = (inverse * (squares + known_weight * away.T @ away)).sum() + num * np.log(np.linalg.det(covariance))
        last, likelihood = likelihood, float(np.log(evidence).sum() - exponent / 2)
        total, first = posterior.sum(), posterior.reshape(-1) @ flat
        weight = total + known_weight * len(known)
        shift = ((first + known_sum) / max(weight, 1e-9)).clip(0)  # a match is not less alike than wrong candidates
        away, cross = known - shift, np.outer(first, shift)
        scatter = squares - cross - cross.T + total * np.outer(shift, shift) + known_weight * away.T @ away
        covariance = scatter / num
        covariance += max(1e-6, 1e-12 * np.trace(covariance)) * np.eye(2)  # known ones may be far away, on a line
        inverse = np.linalg.inv(covariance)
        shift = _agreeing(shift, covariance, inverse)
        if abs(likelihood - last) < _ENOUGH * abs(likelihood):
            break
    return shift, covariance, posterior, likelihood


def _agreeing(shift: _Array, covariance: _Array, inverse: _Array) -> _Array:
    """The shift with which no rater speaks against a match: where one would, it follows the other and adds nothing."""
    weights = inverse @ shift
    if not (weights < 0).any():
        return shift
    other = int(weights.argmax())
    follows: _Array = covariance[:, other] / covariance[other, other] * shift[other]
    return follows.clip(0)


def _odds(values: _Array, shift: _Array, inverse: _Array) -> _Array:
    """Density as a match / as a wrong candidate."""
    weights = inverse @ shift
    odds: _Array = np.exp((values @ weights - shift @ weights / 2).clip(-_MAX_EXPONENT, _MAX_EXPONENT))
    return odds


def _symmetric_sums(odds: _Array, most: int) -> _Array:
    """Elementary symmetric polynomials e_0 to e_most of the first 0 to n columns: sums over all sets of m matches.

    Of odds (L, n): (n + 1, L, most + 1).
    """
    num, length = odds.shape
    sums = np.zeros((length + 1, num, most + 1))
    sums[0, :, 0] = 1
    for k in range(length):
        sums[k + 1] = sums[k]
        sums[k + 1, :, 1:] += odds[:, k, None] * sums[k, :, :-1]
    return sums


def _with_each(odds: _Array, sums: _Array, prior: _Array) -> _Array:
    """Sums over the sets that contain a candidate, (L, n), weighted by the prior of their size."""
    # Nothing is subtracted from a sum over all: where some odds are large, no digit would be left.
    total = np.empty_like(odds)
    behind = np.zeros((len(odds), len(prior)))  # sums over the sets behind, by how many come before
    behind[:, :-1] = prior[1:]
    for k in reversed(range(odds.shape[1])):
        total[:, k] = odds[:, k] * (sums[k] * behind).sum(axis=1)
        behind[:, :-1] += odds[:, k, None] * behind[:, 1:]
    return total


@dataclass(frozen=True)
class Evidence:
    """What the lists show. All shares are 0 to 1."""

    order: float  # share of the next frames that show the same thing
    still: float  # share of a frame's layout that is at the same position long after
    next_in_place: float  # share of the layout of next frames that show the same thing, at the same position
    position: float  # the same, of all frames that show the same thing; near 1 where there are few
    num_matches: float  # expected among the candidates of the queries
    pairs: tuple[tuple[int, int], ...]  # numbers of frames that surely show the same thing, not next to each other
    weight: float  # of the layout in a similarity
    unrelated: float  # minus the mean logarithm of the agreement of wrong candidates

    @property
    def known_pairs(self) -> tuple[float, float]:
        """For how many pairs each pair of neighbours in time counts, and each of `pairs`.

        What differs between neighbours is the view, as far as the view moves; before a still camera it is the content.
        Pairs found count as far as the layout vouches for them.
        """
        return self.order * (1 - self.next_in_place), self.weight * (1 - self.still)


def gather(vectors: Tensor, judge: Judge) -> Evidence:
    """The evidence from the judge's sample and the vectors of its frames (S, dim), unit length."""
    first = rate(vectors, judge, window=1)
    mixture = explain(first.ratings)
    nexts, next_shares = _next(first)
    order, next_posterior = _share_of_matches(nexts / mixture.scale, mixture)
    lists = rate(vectors, judge, window=_window(judge.sample, order))
    nexts, _ = _next(lists)
    mixture = explain(lists.ratings, nexts, order)
    weight, unrelated = _trust(mixture, lists, order * len(nexts))
    vouched = weight * torch.cat([mixture.posterior.flatten(), next_posterior])
    in_place = torch.cat([lists.in_place.flatten(), next_shares]).double()
    long = lists.long_in_place[~lists.long_in_place.isnan()]
    return Evidence(
        order=order,
        still=float(long.mean()) if len(long) else 0.0,
        next_in_place=_mean(next_shares.double(), next_posterior),
        position=float((vouched @ in_place + _PRIOR_MATCHES) / (vouched.sum() + _PRIOR_MATCHES)),
        num_matches=float(mixture.posterior.sum()),
        pairs=_sure_pairs(mixture.posterior, lists, judge.sample),
        weight=weight,
        unrelated=unrelated,
    )


def cross_fitted(evidence: Evidence, judge: Judge, vectors: Callable[[Callable[[Tensor], Tensor]], Tensor]) -> Evidence:
    """The evidence with the weight of the layout beside vectors that were fitted to pairs in time.

    A vector stands out among those whose pairs it was fitted to. So the footage is cut into blocks, and the vectors
    with which every second block is asked were fitted to the pairs of the others.

    Args:
        evidence: from vectors that know of no pairs.
        judge: of the sample.
        vectors: gives those of the sample (S, dim), fitted to the pairs in time of the chosen frame numbers alone.
    """
    sample, window = judge.sample, _window(judge.sample, evidence.order)
    length = max(1, -(-sample.num_frames // _NUM_BLOCKS))
    parts, blocks = [], sample.numbers[sample.queries] // length % 2
    for half in (0, 1):
        rows = np.flatnonzero(blocks == half).tolist()
        if rows:
            others = vectors(lambda numbers, half=half: numbers // length % 2 != half)  # type: ignore[misc]
            parts.append(rate(others, judge, window=window, rows=rows))
    lists = Lists(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Lists)))
    nexts, _ = _next(lists)
    weight, unrelated = _trust(explain(lists.ratings, nexts, evidence.order), lists, evidence.order * len(nexts))
    return replace(evidence, weight=weight, unrelated=unrelated)


def _mean(values: Tensor, weights: Tensor) -> float:
    return float((values @ weights) / weights.sum().clamp_min(1e-9)) if len(values) else 0.0


def _next(lists: Lists) -> tuple[Tensor, Tensor]:
    """Ratings of the next frames less their list's mean (K, 2), and how far they agree in place (K,)."""
    relative = lists.next_ratings - lists.ratings.mean(dim=1, keepdim=True)
    there = ~lists.next_in_place.isnan()
    return relative[there], lists.next_in_place[there]


def _share_of_matches(values: Tensor, mixture: Mixture) -> tuple[float, Tensor]:
    """How many of these (K, 2) are matches, 0 to 1, and the probability of each, by the likelihood alone."""
    posterior, share = np.zeros(len(values)), 0.5
    if not len(values):
        return 0.0, torch.from_numpy(posterior)
    odds = _odds(values.numpy(), mixture.shift.numpy(), np.linalg.inv(mixture.covariance.numpy()))
    for _ in range(_ITERATIONS):
        posterior = share * odds / (share * odds + 1 - share)
        last, share = share, min(max(float(posterior.mean()), 1e-6), 1 - 1e-6)
        if abs(share - last) < 1e-6:
            break
    return share, torch.from_numpy(posterior)


def _sure_pairs(posterior: Tensor, lists: Lists, sample: Sample) -> tuple[tuple[int, int], ...]:
    rows, columns = torch.nonzero(posterior > _SURE, as_tuple=True)
    first = sample.numbers[sample.queries[rows.numpy()]]
    second = sample.numbers[lists.positions[rows, columns].numpy()]
    pairs = {(int(min(pair)), int(max(pair))) for pair in zip(first, second, strict=True)}
    return tuple(sorted(pairs))


def _trust(mixture: Mixture, lists: Lists, num_known: float) -> tuple[float, float]:
    """The weight of the layout, 0 to 1, and minus the mean logarithm of the agreement of wrong candidates.

    The weights S^-1 d, of which none is below 0, tell matches from wrong candidates best. They rest on the matches
    found and known; some are assumed that both raters tell alike, so that a few never silence one of them.
    """
    weights = (torch.linalg.inv(mixture.covariance) @ mixture.shift).clamp_min(0) / mixture.scale
    wrong = (1 - mixture.posterior).flatten()
    unrelated = max(-_mean(lists.ratings[..., 1].flatten(), wrong), _LEAST_UNRELATED)
    vector, layout = float(weights[0]), float(weights[1]) * unrelated
    weight = layout / (vector + layout) if vector + layout else 0.0
    num = float(mixture.posterior.sum()) + num_known
    weight = (num * weight + _PRIOR_MATCHES / 2) / (num + _PRIOR_MATCHES)
    return (weight if weight >= _NEGLIGIBLE else 0.0), unrelated
