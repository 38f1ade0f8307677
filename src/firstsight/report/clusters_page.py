"""What there is in a library, as a page: one file, nothing fetched from anywhere."""

from typing import Any

from firstsight.report.drawing import file_uri
from firstsight.report.template import load_template
from firstsight.retrieval.exploring.clusters import Cluster, Clusters
from firstsight.retrieval.store.library import Library

_TEMPLATE = "clusters_page.html"
_PICTURES_SHOWN = 8  # of moments, besides the exemplar
_SOURCES_SHOWN = 6


def render_clusters_page(found: Clusters, library: Library) -> str:
    """The page as HTML, with thumbnails from the library."""
    return load_template(_TEMPLATE).render(
        library=library.path.name,
        num_frames=found.num_frames,
        num_sources=len(library.sources),
        silhouette=found.silhouette,
        clusters=[_shown(one, library) for one in found.clusters],
    )


def _shown(cluster: Cluster, library: Library) -> dict[str, Any]:
    step = max(1, len(cluster.moments) // _PICTURES_SHOWN)
    chosen = cluster.moments[::step][:_PICTURES_SHOWN]
    frames = [(cluster.exemplar_source, cluster.exemplar_frame_index)]
    frames += [(one.source, one.best_frame_index) for one in chosen]
    names = [name for name, _ in frames]
    times = [cluster.exemplar_seconds, *(one.best_seconds for one in chosen)]
    uris = [file_uri(jpeg, "jpeg") for jpeg in library.thumbnails(frames)]
    return {
        "share": 100 * cluster.share,
        "num_frames": cluster.num_frames,
        "num_moments": len(cluster.moments),
        "pictures": [
            {"uri": uri, "name": name, "seconds": seconds}
            for uri, name, seconds in zip(uris, names, times, strict=True)
        ],
        "silhouette": cluster.silhouette,
        "is_mixed": cluster.is_mixed,
        "sources": [{"name": name, "num_frames": count} for name, count in cluster.sources[:_SOURCES_SHOWN]],
        "num_more": max(0, len(cluster.sources) - _SOURCES_SHOWN),
    }
