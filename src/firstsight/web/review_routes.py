"""The REST API of the review queue."""

import csv
import io
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from firstsight.text import printable, safe_cell
from firstsight.web.candidates import FOUND_BY_JOB, Candidate, Place
from firstsight.web.review import COLUMNS, KINDS, Answered, Review, cells, queue
from firstsight.web.workspace import Workspace


class GivenAnswer(BaseModel):
    """To a candidate."""

    answer: str = Field(max_length=20)  # "yes", "no" or "unsure"


class Kinds(BaseModel):
    """Of candidates."""

    kinds: list[str] = Field(default_factory=lambda: list(FOUND_BY_JOB), max_length=10)


def add_review(router: APIRouter, workspace: Workspace) -> None:
    """The routes of what is to be judged."""
    review = Review(workspace)

    @router.get("/review")
    def show() -> dict[str, Any]:
        """What is left to judge, and how much was answered, by kind."""
        if not workspace.snapshot.num_frames:
            return {"queue": [], "num_answered": 0, "num_left": {}, "last": None}
        answered = review.answers.all()
        left = queue(review.candidates(), answered)
        shown = [_candidate(workspace, one) for one in left]
        return {
            "queue": shown,
            "num_answered": len(answered),
            "num_left": {kind: sum(one["kind"] == kind for one in shown) for kind in KINDS},
            "last": _answered(workspace, answered[-1]) if answered else None,
        }

    @router.post("/review/undo")
    def undo() -> dict[str, Any]:
        """Takes back the latest answer, and all that it changed."""
        return _answered(workspace, review.undo())

    @router.get("/review/labels.csv")
    def labels() -> Response:
        """All answers as a table."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows([safe_cell(one) for one in cells(answered)] for answered in review.answers.all())
        headers = {"content-disposition": 'attachment; filename="labels.csv"'}
        return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    @router.post("/review/{number}")
    def answer(number: str, given: GivenAnswer) -> dict[str, Any]:
        """Answers yes, no or unsure; a no to a copy or a near miss sets the two apart, which the library remembers."""
        return _answered(workspace, review.answer(number, given.answer))

    @router.post("/jobs/review", status_code=202)
    def look_for(given: Kinds) -> dict[str, Any]:
        """Starts to look for copies, for what is new, and for changes of scene."""
        return review.look_for(given.kinds).to_json()


def _answered(workspace: Workspace, answered: Answered) -> dict[str, Any]:
    return {**_candidate(workspace, answered.candidate), "answer": answered.answer, "at": answered.at}


def _candidate(workspace: Workspace, one: Candidate) -> dict[str, Any]:
    sides = [_place(workspace, at) for at in one.places]
    return {"id": one.id, "kind": one.kind, "detail": one.detail, "anchor": one.anchor, "sides": sides}


def _place(workspace: Workspace, at: Place) -> dict[str, Any]:
    row, start = workspace.snapshot.by_source.get(at.source, (None, 0.0))
    return {
        "row": row.id if row else None,
        "source": printable(at.source),
        "seconds": start + at.seconds,
        "start_seconds": start + at.start_seconds,
        "end_seconds": start + at.end_seconds,
    }
