"""The REST API of learning: models, how far they are, and their verdicts."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from firstsight.errors import LibraryError, SettingsError
from firstsight.object_store import ObjectPath
from firstsight.text import printable
from firstsight.web.jobs import Job
from firstsight.web.models import About, Method, Models
from firstsight.web.rows import Row
from firstsight.web.workspace import Workspace

RowId = Annotated[str, Field(max_length=40)]


class NewModel(BaseModel):
    """What to learn from, and how."""

    name: str = Field(max_length=60)
    rows: list[RowId] = Field(min_length=1, max_length=1_000)
    method: Method = "default"
    seed: int = Field(0, ge=0, le=2**32 - 1)


def add_models(router: APIRouter, workspace: Workspace) -> None:
    """The routes of models."""
    beside = workspace.state_folder if isinstance(workspace.folder, ObjectPath) else workspace.folder.parent
    models = Models(beside / workspace.folder.name)

    @router.get("/models")
    def show() -> list[dict[str, Any]]:
        """The models, in the order in which they were begun, each with its job."""
        return list(_shown(models, workspace.jobs.all()))

    @router.post("/models", status_code=202)
    def learn(given: NewModel) -> dict[str, Any]:
        """Begins to learn a model from some rows."""
        rows = _readable(workspace, given.rows)
        paths = [path for row in rows for path in ([row.path] if row.path else [one.path for one in row.records])]
        if len({row.kind for row in rows}) > 1:
            raise SettingsError("videos and pictures cannot be learned from together; choose one kind")
        about = About(tuple(row.name for row in rows), tuple(map(str, paths)), given.method, given.seed)
        models.begin(given.name, about)
        return _start(given.name)

    @router.post("/models/{name}/resume", status_code=202)
    def resume(name: str) -> dict[str, Any]:
        """Goes on with a model that was stopped."""
        return _start(name)

    @router.delete("/models/{name}", status_code=204)
    def remove(name: str) -> Response:
        """Stops and removes a model, and its files."""
        folder = str(models.at(name))
        for job in workspace.jobs.all():
            if job.kind == "learn" and job.task["folder"] == folder:
                workspace.jobs.cancel(job.id, and_wait=True)  # one that is over may still save
                workspace.jobs.dismiss(job.id)
        models.remove(name)
        return Response(status_code=204)

    @router.get("/models/{name}/levels")
    def levels(name: str) -> list[dict[str, Any]]:
        """The filters and maps of each level, as pictures in `data:` addresses."""
        return models.levels(name)

    def _start(name: str) -> dict[str, Any]:
        task = {"kind": "learn", "folder": str(models.at(name))}
        return workspace.jobs.add("learn", f"learning {name}", task).to_json()


def _readable(workspace: Workspace, ids: list[str]) -> list[Row]:
    """The rows of these ids. Raises a LibraryError if there is none, a SourceError if its file cannot be read."""
    rows = [workspace.row(one) for one in ids]
    for row in rows:
        row.check_readable()
    return rows


def _shown(models: Models, jobs: list[Job]) -> Iterator[dict[str, Any]]:
    by_folder = {job.task["folder"]: job for job in reversed(jobs) if job.kind == "learn"}
    for name in models.names():
        with suppress(LibraryError):  # another page has removed it just now
            yield _with_job(models.show(name), by_folder.get(str(models.at(name))))


def _with_job(model: dict[str, Any], job: Job | None) -> dict[str, Any]:
    sources = [printable(name) for name in model["sources"]]
    return {**model, "sources": sources, "job": None if job is None else job.to_json()}
