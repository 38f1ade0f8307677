"""What of the duplicates that were found is right, for the benchmark."""

from typing import Any

import numpy as np
from duplicate_copies import ALTERED, CUT_SECONDS
from numpy.typing import NDArray

from firstsight.library.store import Store

# Frames of two copies show the same if they are this near in the original: half the distance of two frames there.
_SAME_SECONDS = 0.3

Pairs = dict[frozenset[str], set[tuple[float, float]]]  # two clips, and the times of frames found to be the same


def judged(library: Store, clips: set[frozenset[str]], frames: Pairs) -> dict[str, Any]:
    """Against what is true: copies share their original; frames are the same if they are of one time in it."""
    times = times_of(library)
    lengths = {name: float(values[-1]) for name, values in times.items()}
    names = sorted(times)
    true = {
        frozenset((one, other)) for one in names for other in names if one < other and original(one) == original(other)
    }
    by_how = {}
    for how in ALTERED:
        pairs = [pair for pair in true if pair == {f"{original(min(pair))}{end}" for end in (".mp4", f"+{how}.mp4")}]
        hits = [_recall(pair, frames.get(pair, set()), times, lengths) for pair in pairs]
        by_how[how] = {
            "clips_found": sum(pair in clips for pair in pairs) / len(pairs),
            "frames_found": sum(num for num, _ in hits) / sum(total for _, total in hits),
        }
    num_right = sum(_is_right(pair, match, lengths) for pair, matches in frames.items() for match in matches)
    num_other = sum(len(matches) for pair, matches in frames.items() if pair not in true)
    total = sum(len(matches) for matches in frames.values())
    return {
        "clip_recall": len(true & clips) / len(true),
        "clip_precision": len(true & clips) / max(1, len(clips)),
        "num_clip_pairs": len(true),
        "frame_recall": float(np.mean([one["frames_found"] for one in by_how.values()])),
        "frame_precision": num_right / max(1, total),
        "frame_pairs_of_other_footage": num_other / max(1, total),
        "num_frame_pairs": total,
        "by_alteration": by_how,
    }


def original(name: str) -> str:
    """Of a copy."""
    return name.removesuffix(".mp4").partition("+")[0]


def original_seconds(name: str, seconds: float, lengths: dict[str, float]) -> float:
    """When in the original that was to be seen."""
    if not name.endswith("+cut.mp4"):
        return seconds
    cut = lengths[f"{original(name)}.mp4"] / 2 - CUT_SECONDS / 2
    return seconds if seconds < cut else seconds + CUT_SECONDS


def _is_right(pair: frozenset[str], match: tuple[float, float], lengths: dict[str, float]) -> bool:
    first, second = sorted(pair)
    there = (original_seconds(first, match[0], lengths), original_seconds(second, match[1], lengths))
    return original(first) == original(second) and abs(there[0] - there[1]) <= _SAME_SECONDS


def _recall(
    pair: frozenset[str],
    matches: set[tuple[float, float]],
    times: dict[str, NDArray[np.float64]],
    lengths: dict[str, float],
) -> tuple[int, int]:
    """Of the copy's frames that have one of the same time in the original: how many are matched with it, and all."""
    copy = max(pair, key=lambda name: "+" in name)
    place = sorted(pair).index(copy)
    own = times[f"{original(copy)}.mp4"]
    there = {float(one): original_seconds(copy, float(one), lengths) for one in times[copy]}
    wanted = {one for one, when in there.items() if np.abs(own - when).min() <= _SAME_SECONDS}
    right = {match[place] for match in matches if _is_right(pair, match, lengths)}
    return len(wanted & right), len(wanted)


def times_of(library: Store) -> dict[str, NDArray[np.float64]]:
    """Of each clip, when its frames are."""
    frames = library.embeddings()
    return {name: frames.seconds[frames.source_indices == number] for number, name in enumerate(frames.sources)}
