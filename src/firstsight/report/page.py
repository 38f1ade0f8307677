"""`report.html`: one file, nothing fetched from anywhere."""

import math
from typing import Any

import numpy as np
from PIL import Image

from firstsight.learning.findings import findings
from firstsight.model.encoder import Encoder
from firstsight.report.drawing import draw_box, file_uri, jpeg_uri, with_crop_drawn
from firstsight.report.highlights import Highlights
from firstsight.report.levels import initial_network, level_stories
from firstsight.report.template import load_template
from firstsight.retrieval.comparing.anchor import Anchor, AtSeconds, BelowSimilarity, EveryNFrames
from firstsight.retrieval.comparing.compare import CompareSettings, Comparison
from firstsight.retrieval.regions.box import Box
from firstsight.video.frames import Frame

_TEMPLATE = "page.html"
_NUM_MOMENTS = 6


def render_page(
    encoder: Encoder, source_name: str, settings: CompareSettings, highlights: Highlights, plot: bytes
) -> str:
    """The page as HTML. The highlights' frames must carry the whole frame as their second picture."""
    anchor = highlights.anchors[0].anchor
    width, height = anchor.size
    crop = encoder.preprocessing.crop(width, height)
    outcome = encoder.provenance.get("outcome", {})
    filters = {"photo": lambda anchor: _photo(anchor, settings.box), "when": _when}
    return load_template(_TEMPLATE, filters).render(
        source=source_name,
        facts=_facts(encoder, settings, highlights),
        plot=file_uri(plot, "png"),
        anchors=highlights.anchors,
        num_more_anchors=highlights.num_anchors - len(highlights.anchors),
        most=[_moment(one) for one in highlights.most_similar(_NUM_MOMENTS)],
        least=[_moment(one) for one in highlights.least_similar(_NUM_MOMENTS)],
        crop_picture=jpeg_uri(with_crop_drawn(anchor.pictures[1], anchor.size, encoder.preprocessing)),
        sees=encoder.preprocessing.describe(),
        width=width,
        height=height,
        share=crop.share_of(width, height),
        levels=level_stories(encoder, anchor.pixels),
        before_name=initial_network(encoder)[1],
        outcome=outcome,
        findings=findings(outcome),
    )


def _facts(encoder: Encoder, settings: CompareSettings, highlights: Highlights) -> dict[str, Any]:
    provenance = encoder.provenance
    num_dimensions = settings.dimensions_for(encoder)
    over = "all compared frames" if settings.over_last is None else f"the last {settings.over_last}"
    dimensions = f"the {num_dimensions} of largest standard deviation over {over}" if num_dimensions else "all"
    if settings.box is not None:
        dimensions = "second moments of the maps in the box; in each frame the window of its size that is most like it"
    return {
        "Learned from": provenance.get("source", provenance.get("weights_file", "nothing")),
        "By": f"{provenance.get('method', 'no method')}, seed {provenance.get('seed', 'not known')}",
        "Compared": f"{highlights.num_compared} frames, number of anchors: {highlights.num_anchors}",
        "Anchor": _describe(settings.anchor) + (f", box {settings.box}" if settings.box else ""),
        "Compared on": _describe_level(encoder, settings),
        "Dimensions": dimensions,
        "Similarity": "cosine, mean removed" if settings.centred else "cosine",
    }


def _describe_level(encoder: Encoder, settings: CompareSettings) -> str:
    number = encoder.compared_level(settings.level)
    if number is None:
        return f"the read-out of all levels, {encoder.dim} numbers"
    return f"level {number} of {len(encoder.network.configs)}"


def _describe(anchor: Anchor) -> str:
    match anchor:
        case EveryNFrames():
            return f"a new one after every {anchor.num_frames} compared frames"
        case BelowSimilarity():
            return f"a new one after a similarity below {anchor.similarity:.2f}"
        case AtSeconds():
            return f"the frame at {anchor.seconds:g} s"
        case _:
            return anchor.name


def _moment(comparison: Comparison) -> dict[str, Any]:
    return {
        "frame": comparison.frame,
        "similarity": comparison.similarity,
        "anchor": comparison.anchor,
        "photo": _photo(comparison.frame, comparison.box),
    }


def _photo(frame: Frame, box: Box | None) -> str:
    image = Image.fromarray(frame.pictures[1])
    if box:
        draw_box(image, box, frame.size)
    return jpeg_uri(np.asarray(image))


def _when(frame: Frame) -> str:
    return frame.source if math.isnan(frame.seconds) else f"{frame.seconds:.2f} s"
