"""The REST API: what the page asks, and other programs may ask with the same token. Described at /api/openapi.json."""

import csv
import io
import mimetypes
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, Field

from firstsight.errors import SettingsError
from firstsight.library.store import Store
from firstsight.searching.search import Match
from firstsight.text import printable, safe_cell
from firstsight.web import tracks
from firstsight.web.anchors import box_of_shares
from firstsight.web.model_routes import add_models
from firstsight.web.pictures import as_shown, bounded, read_upload
from firstsight.web.review_routes import add_review
from firstsight.web.rows import Row, Snapshot
from firstsight.web.scores import COLUMNS, Scores, box_in_shares, elsewhere
from firstsight.web.workspace import Workspace

_MAX_ROWS = 64  # of a request for tiles
_FOREVER = {"cache-control": "private, max-age=31536000, immutable"}  # its address changes with its content
_NEVER = {"cache-control": "no-store"}
_A_WHILE = {"cache-control": "private, max-age=60"}
ATLAS_SIDE, ATLAS_COLUMNS = 64, 16

Seconds = Annotated[float, Query(ge=0, le=1e10)]
Shares = tuple[float, float, float, float]


class FrameAnchor(BaseModel):
    """A frame of a row, or a box of it, to be pinned."""

    row: str = Field(max_length=40)
    seconds: float = Field(ge=0, le=1e10)
    box: Shares | None = None  # x, y, width, height in shares of the picture, 0 to 1
    name: str = Field("", max_length=500)


class NewName(BaseModel):
    """Of an anchor."""

    name: str = Field(max_length=500)


class LiveSource(BaseModel):
    """A row to be played as a camera, or a camera."""

    row: str | None = Field(None, max_length=40)
    camera: str | None = Field(None, max_length=500)  # its number, or its address
    speed: float = Field(1.0, gt=0, le=16)  # of a row


def routes_of(workspace: Workspace) -> APIRouter:
    """All routes under /api. They are plain functions, which FastAPI runs in threads: none waits in its event loop."""
    router = APIRouter(prefix="/api")
    _add_library(router, workspace)
    _add_pictures(router, workspace)
    _add_map(router, workspace)
    _add_anchors(router, workspace)
    _add_comparisons(router, workspace)
    add_review(router, workspace)
    add_models(router, workspace)
    _add_live(router, workspace)
    return router


def _add_library(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/library")
    def library() -> dict[str, Any]:
        """The rows, in order; `state` changes when they do."""
        shown, overview = workspace.snapshot, workspace.overview
        return {
            "name": printable(workspace.name),
            "state": shown.state,
            "num_sources": len(shown.records),
            "num_frames": shown.num_frames,
            "rows": [row.to_json(aspect=workspace.aspect(row)) for row in shown.rows],
            "groups": None if overview is None else _groups(workspace, overview.groups),
        }

    @router.get("/rows/{row_id}/names")
    def names(row_id: str) -> list[str]:
        """Of its sources; of pictures in their order, one a second."""
        return [printable(record.name) for record in workspace.row(row_id).records]

    @router.get("/jobs")
    def jobs() -> dict[str, Any]:
        """Long work, the newest first; the state of the library; and letters that change when its anchors do."""
        found = [job.to_json() for job in workspace.jobs.all()]
        return {"state": _state(workspace), "anchors": workspace.anchors_version, "jobs": found}

    @router.post("/jobs/index", status_code=202)
    def index() -> dict[str, Any]:
        """Starts to put new and changed footage into the library."""
        return workspace.index().to_json()

    @router.post("/jobs/{number}/cancel")
    def cancel(number: int) -> dict[str, Any]:
        """Cancels a job; what it finished is kept."""
        return workspace.jobs.cancel(number).to_json()

    @router.post("/jobs/{number}/again", status_code=202)
    def again(number: int) -> dict[str, Any]:
        """Starts the task of a job that is over again; it goes on from what is finished."""
        return workspace.jobs.again(number).to_json()

    @router.post("/jobs/{number}/dismiss")
    def dismiss(number: int) -> dict[str, Any]:
        """Shows a job no more, once it is over."""
        return workspace.jobs.dismiss(number).to_json()


def _state(workspace: Workspace) -> str:
    """Of the library and of its overview."""
    return workspace.snapshot.state + ("+" if workspace.overview else "-")


def _groups(workspace: Workspace, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    places = {printable(name): place for name, place in workspace.snapshot.by_source.items()}
    found = []
    for group in groups:
        row, start = places.get(group["source"], (None, 0.0))
        found.append({**group, "row": row.id if row else None, "seconds": start + group["seconds"]})
    return found


def _add_pictures(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/rows/{row_id}/video")
    def video(row_id: str) -> FileResponse:
        """The file of a row, with ranges."""
        path = workspace.video_file(workspace.row(row_id))
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return FileResponse(path, media_type=kind if kind.startswith(("video/", "image/gif")) else "video/mp4")

    @router.get("/rows/{row_id}/frame")
    def frame(row_id: str, seconds: Seconds, most: Annotated[int, Query(ge=16, le=4_096)] = 1_920) -> Response:
        """The frame nearest to a time, read from its file."""
        found = workspace.frame(workspace.row(row_id), seconds)
        headers = {**_A_WHILE, "x-frame-seconds": f"{found.seconds:.6f}", "x-frame-index": str(found.index)}
        headers["x-frame-duration"] = f"{found.duration_seconds or 0:.6f}"
        return Response(as_shown(found.pixels, most=most), media_type="image/jpeg", headers=headers)

    @router.get("/rows/{row_id}/thumbnail")
    def thumbnail(row_id: str, seconds: Seconds) -> Response:
        """The stored picture nearest to a time; no video is opened."""
        row = workspace.row(row_id)
        nearest = row.nearest(seconds)
        headers = {**_A_WHILE, "x-frame-seconds": f"{row.seconds[nearest]:.6f}"}
        return Response(workspace.pictures(row, [nearest])[0], media_type="image/jpeg", headers=headers)

    @router.get("/rows/{row_id}/strip/{level}/{number}")
    def strip(row_id: str, level: int, number: int, version: str = "") -> Response:
        """16 stored pictures side by side, of 2**level seconds each; kept by browsers if the row's version is named."""
        row = workspace.row(row_id)
        content = workspace.strip(row, level=level, number=number)
        return Response(content, media_type="image/jpeg", headers=_FOREVER if version == row.version else _NEVER)

    @router.get("/tracks/{track}/{level}/{number}")
    def tiles(track: str, level: int, number: int, rows: str) -> Response:
        """256 bins of 2**level seconds for each of some rows, given by ids with commas: a byte each, 0 of a gap.

        The track is "frames" (1), "groups" (1 + group), or an anchor's id (1 + 254 similarity, the largest of a bin).
        """
        tracks.check_tile(level, number)
        ids = rows.split(",")
        if len(ids) > _MAX_ROWS:
            raise SettingsError(f"{len(ids)} rows; valid are up to {_MAX_ROWS}")
        shown, values, largest = _track(workspace, track)
        seen = [shown.by_id.get(one) for one in ids]
        found = [
            tracks.binned(row, values[row.positions], level=level, number=number, largest=largest)
            if row is not None and len(row.positions)
            else np.zeros(tracks.NUM_BINS, np.uint8)
            for row in seen
        ]
        return Response(np.concatenate(found).tobytes(), media_type="application/octet-stream", headers=_NEVER)


def _add_map(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/map")
    def points() -> Response:
        """The map, by row and in order of time, column after column, little-endian.

        x and y (uint16, 0 to 65,535), row number (uint32), seconds (float32), group (uint8; 0 of none).
        """
        overview = workspace.overview
        if overview is None:
            return Response(status_code=204)
        at, (numbers, seconds) = overview.positions, workspace.snapshot_at(overview.state).places
        positions = np.rint(overview.points.clip(0, 1) * 65_535).astype("<u2")
        order = np.lexsort((seconds[at], numbers[at]))
        columns = (*positions.T, numbers[at].astype("<u4"), seconds[at].astype("<f4"), overview.labels[at])
        content = b"".join(np.ascontiguousarray(column[order]).tobytes() for column in columns)
        return Response(content, media_type="application/octet-stream")

    @router.get("/map/similarity/{anchor_id}")
    def similarity(anchor_id: str) -> Response:
        """How alike each point of the map is to an anchor: a byte each, 255 of 1, in the order of `/map`."""
        overview, scores = workspace.overview, workspace.scores(anchor_id)
        if overview is None or scores.state != overview.state:
            return Response(status_code=204)
        at, (numbers, seconds) = overview.positions, workspace.snapshot_at(overview.state).places
        values = tracks.as_bytes(scores.similarities)[at][np.lexsort((seconds[at], numbers[at]))]
        return Response(values.tobytes(), media_type="application/octet-stream")

    @router.get("/map/atlas/{number}")
    def atlas(number: Annotated[int, Field(ge=0, le=10_000)]) -> Response:
        """The pictures of 256 points of the map, 16 in a line, 64 pixels each."""
        content = workspace.atlas(number, side=ATLAS_SIDE, columns=ATLAS_COLUMNS)
        return Response(content, media_type="image/jpeg", headers=_A_WHILE)


def _track(workspace: Workspace, track: str) -> tuple[Snapshot, tracks.Bytes, bool]:
    """What was shown, the bytes (N,) of its frames, and whether the largest of a bin counts."""
    shown, overview = workspace.snapshot, workspace.overview
    if track == "frames":
        return shown, np.ones(shown.num_frames, np.uint8), True
    if track == "groups":
        is_known = overview is not None and overview.state == shown.state
        return shown, overview.labels if overview and is_known else np.zeros(shown.num_frames, np.uint8), False
    scores = workspace.scores(track)
    shown = workspace.snapshot_at(scores.state)
    is_known = scores.state == shown.state
    return shown, tracks.as_bytes(scores.similarities if is_known else np.zeros(shown.num_frames, np.float32)), True


def _add_anchors(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/anchors")
    def anchors() -> list[dict[str, Any]]:
        """Those of the library."""
        return [asdict(one) for one in workspace.anchors.all()] if workspace.snapshot.num_frames else []

    @router.post("/anchors", status_code=201)
    def pin(given: FrameAnchor) -> dict[str, Any]:
        """A frame, or a box of it, as a new anchor."""
        row = workspace.row(given.row)
        frame = workspace.frame(row, given.seconds)
        pixels = bounded(frame.pixels)
        box = None if given.box is None else box_of_shares(given.box, pixels)
        source, seconds, content = row.name, given.seconds, ""
        if row.records:
            record, seconds = row.record_at(given.seconds)
            source, content = record.name, record.content
            seconds = seconds if record.is_picture else frame.seconds
        name = given.name or source.rpartition("/")[2]
        added = workspace.anchors.add(pixels, name=name, box=box, source=source, seconds=seconds, content=content)
        return asdict(added)

    @router.post("/anchors/picture", status_code=201)
    def pin_picture(
        content: Annotated[bytes, Body(media_type="application/octet-stream")],
        name: Annotated[str, Query(max_length=500)] = "",
    ) -> dict[str, Any]:
        """A picture file, sent as it is, as a new anchor."""
        return asdict(workspace.anchors.add(read_upload(content), name=name or "picture"))

    @router.patch("/anchors/{anchor_id}")
    def rename(anchor_id: str, given: NewName) -> dict[str, Any]:
        """Gives it another name."""
        return asdict(workspace.anchors.rename(anchor_id, given.name))

    @router.delete("/anchors/{anchor_id}", status_code=204)
    def remove(anchor_id: str) -> None:
        """Removes it from the library."""
        workspace.anchors.remove(anchor_id)
        workspace.forget(anchor_id)

    @router.get("/anchors/{anchor_id}/picture")
    def picture(anchor_id: str, most: Annotated[int, Query(ge=16, le=1_920)] = 480) -> Response:
        """Its picture."""
        shown = as_shown(workspace.anchors.picture(anchor_id), most=most)
        return Response(shown, media_type="image/jpeg", headers=_FOREVER)

    @router.get("/anchors/{anchor_id}/moments")
    def moments(anchor_id: str) -> dict[str, Any]:
        """The best moments that match, and how many there are in each row; or that none does, with the nearest."""
        return _result(workspace, workspace.scores(anchor_id))

    @router.get("/anchors/{anchor_id}/moments.csv")
    def table(anchor_id: str) -> Response:
        """All that match: source, start, end and best time in seconds, similarity, false-match probability."""
        scores, out = workspace.scores(anchor_id), io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows((safe_cell(source), *others) for source, *others in scores.cells())
        headers = {"content-disposition": 'attachment; filename="moments.csv"'}
        return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _result(workspace: Workspace, scores: Scores) -> dict[str, Any]:
    places = workspace.snapshot.by_source
    return {
        **scores.to_json(),
        "num_by_row": Counter(places[one.source][0].id for one in scores.moments if one.source in places),
        "moments": [
            {**_moment(one, *places[one.source]), "is_match": scores.is_match}
            for one in scores.found
            if one.source in places
        ],
    }


def _moment(one: Match, row: Row, start: float) -> dict[str, Any]:
    is_picture = row.kind == "pictures"
    return {
        "row": row.id,
        "source": printable(one.source),
        "start_seconds": start + one.start_seconds,
        "end_seconds": start + (1.0 if is_picture else one.end_seconds),
        "best_seconds": start + one.seconds,
        "similarity": one.similarity,
        "closer_than": one.closer_than,
        "false_match_probability": one.false_match_probability,
        "box": box_in_shares(one),
    }


def _add_comparisons(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/rows/{row_id}/elsewhere")
    def nearest(row_id: str, seconds: Seconds, most: Annotated[int, Query(ge=1, le=50)] = 8) -> list[dict[str, Any]]:
        """The moments elsewhere that are most like the stored frame nearest to a time, best first by the cosine."""
        row = workspace.row(row_id)
        record, own = row.record_at(float(row.seconds[row.nearest(seconds)]))
        found = workspace.ask(lambda store: elsewhere(store, record.name, own, k=most))
        places = workspace.snapshot.by_source
        return [
            {
                "row": places[one.source][0].id,
                "source": printable(one.source),
                "seconds": places[one.source][1] + one.best_seconds,
                "similarity": one.score,
            }
            for one in found
            if one.source in places
        ]

    @router.get("/agreement")
    def agreement(
        row: str,
        seconds: Seconds,
        anchor: str | None = None,
        other_row: str | None = None,
        other_seconds: Seconds = 0.0,
    ) -> dict[str, Any]:
        """Where a frame agrees with an anchor's picture, or with another frame, cell by cell."""
        first = bounded(workspace.frame(workspace.row(row), seconds).pixels)
        if anchor is not None:
            second = workspace.anchors.picture(anchor)
        elif other_row is not None:
            second = bounded(workspace.frame(workspace.row(other_row), other_seconds).pixels)
        else:
            raise SettingsError("nothing to compare with; give anchor, or other_row and other_seconds")

        def compared(store: Store) -> dict[str, Any]:
            found = store.encoder.agreement(first, second)
            return {
                "share": float(found.share),
                "in_words": found.in_words,
                "first": np.round(found.first, 3).tolist(),
                "second": np.round(found.second, 3).tolist(),
            }

        return workspace.ask(compared)


def _add_live(router: APIRouter, workspace: Workspace) -> None:
    @router.post("/live", status_code=202)
    def start(given: LiveSource) -> None:
        """Watches a row as if it were a camera, or a camera, in place of what is watched."""
        if given.row is not None:
            workspace.watch_row(workspace.row(given.row), speed=given.speed)
        elif given.camera is not None:
            workspace.watch_camera(given.camera)
        else:
            raise SettingsError("nothing to watch; give row, or camera")

    @router.delete("/live", status_code=204)
    def stop() -> None:
        """Ends it."""
        workspace.live.stop()

    @router.get("/live")
    def live(after: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        """The state; curves after that number; events, the latest first; where the frame agrees with anchors."""
        return workspace.live.show(after)

    @router.get("/live/picture")
    def live_picture() -> Response:
        """The latest frame."""
        return Response(workspace.live.picture(), media_type="image/jpeg", headers={"cache-control": "no-store"})
