"""Models beside a library: begun, stopped, resumed, shown side by side."""

import json
from pathlib import Path

import pytest
from web_server import Server, write_clip

from firstsight.errors import LibraryError, SettingsError
from firstsight.progress import Progress
from firstsight.web.models import About, Models, learn_model


def test_a_model_of_the_articles_method_that_is_stopped_can_be_resumed(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", hue=20, num_frames=12, size=64)
    models = Models(tmp_path / "walks.library")
    folder = models.begin("first", About(("a.mp4",), (str(clip),), "article", 0))
    assert models.folder == tmp_path / "walks.models"
    assert not models.show("first")["can_be_resumed"]

    def stop(progress: Progress) -> None:
        if progress.what.startswith("level") and progress.done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn_model(folder, progress=stop)
    shown = models.show("first")
    assert shown["can_be_resumed"]
    assert not shown["is_learned"]
    assert shown["thresholds"]
    models.remove("first")
    assert models.names() == []


@pytest.mark.parametrize("name", ["", "../out", "a b", "-x", "x" * 41, "é"])
def test_names_of_models_are_plain(tmp_path: Path, name: str) -> None:
    models = Models(tmp_path / "walks.library")
    with pytest.raises(SettingsError, match="valid are 1 to 40"):
        models.begin(name, About((), (), "default", 0))
    with pytest.raises(LibraryError):
        models.at(name)


def test_checks_of_a_long_run_are_thinned_and_half_a_line_ends_them(tmp_path: Path) -> None:
    models = Models(tmp_path / "walks.library")
    folder = models.begin("long", About(("a",), ("a",), "article", 0))
    (folder / "run").mkdir()
    lines = [json.dumps({"level": 1, "frame": index, "mean": 0.5, "loss": 1.0}) for index in range(5_000)]
    (folder / "run" / "metrics.jsonl").write_text("\n".join(lines) + '\n{"lev')
    checks = models.show("long")["checks"]
    assert 1_000 <= len(checks) <= 2_000
    assert checks[0] == [1, 0, 0.5]


SCORES = {
    "this encoder": {"same frame": 0.9, "standard_error": 0.01},
    "HOG": {"same frame": 0.7, "standard_error": None},
}
MODEL = {
    "name": "first", "sources": ["<b>a.mp4</b>"], "method": "article", "seed": 0, "folder": "/x/first/run",
    "is_learned": True, "can_be_resumed": False, "num_frames": 400, "seconds": 12.0, "ended": [], "embedding": None,
    "health": [{"level": 1, "mean_max_similarity": 0.5, "mean_similarity": 0.1, "num_dead_maps": 0, "num_frames": 9}],
    "warnings": [], "thresholds": [0.6, 0.4], "checks": [[1, 10, 0.9], [1, 20, 0.5], [2, 10, 0.7]], "has_levels": False,
    "verdict": {"verdicts": ["find again: better than HOG"], "asks": "is a frame found again?", "scores": SCORES},
    "job": None,
}  # fmt: skip
STOPPED = {
    **MODEL, "name": "second", "is_learned": False, "verdict": None, "checks": [], "health": [], "can_be_resumed": True,
    "has_levels": True,
}  # fmt: skip
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
LEVELS = [{"level": level, "shape": "4 maps", "filters": PIXEL, "maps": PIXEL} for level in (1, 2)]
DRAWN_ANEW = "for (const _ of '123') document.querySelector('.head > button').click()"  # through the three colours
FOCUS = "const one = document.activeElement; `${one.tagName} ${one.textContent}`"


def test_two_models_are_shown_side_by_side_and_a_stopped_one_resumes(server: Server, open_page) -> None:
    page = open_page(server)
    asked: list[str] = []
    page.route("**/api/models", lambda route: route.fulfill(json=[MODEL, STOPPED]))
    page.route(
        "**/api/models/second/resume", lambda route: (asked.append(route.request.method), route.fulfill(json={}))[1]
    )
    page.route("**/api/models/second/levels", lambda route: route.fulfill(json=LEVELS))
    page.get_by_role("tab", name="Learn").click()
    page.wait_for_selector("section.model[aria-label=second] summary")
    assert page.locator("section.model").count() == 2
    assert page.locator("tr.best th").inner_text() == "this encoder"
    assert page.locator(".model-curve").count() == 1
    assert "<b>a.mp4</b>" in page.locator("section.model").first.inner_text()
    summary = page.locator("section.model[aria-label=second] summary").nth(1)
    summary.press("Enter")
    page.evaluate(DRAWN_ANEW)
    assert page.locator("section.model details[open]").count() == 2
    assert page.evaluate(FOCUS) == "SUMMARY Level 2: 4 maps"
    with page.expect_response("**/resume"):
        page.get_by_role("button", name="Resume").press("Enter")  # by keys, as what follows: to them the focus is kept
    assert asked == ["POST"]
    page.locator(".models input").first.focus()
    page.keyboard.down("Space")
    page.evaluate(DRAWN_ANEW)
    page.keyboard.up("Space")
    page.wait_for_selector("section.model[aria-label=first]", state="detached")
    assert page.evaluate("document.activeElement === document.querySelector('.models input')")  # though shown anew
    page.locator(".models input").last.uncheck()
    page.wait_for_selector(".learn-body:has-text('Tick a model to show it')")
    assert "No model yet" not in page.locator(".learn-body").inner_text()
    page.unroute("**/api/models")
    left = [{**MODEL, "name": name} for name in ("model-1", "model-3")]
    page.route("**/api/models", lambda route: route.fulfill(json=left))
    page.get_by_role("tab", name="Watch").click()
    page.get_by_role("tab", name="Learn").click()
    page.wait_for_selector("section.model[aria-label=model-3], .models b:text-is('model-3')")
    assert page.locator("[name=name]").input_value() == "model-2"
    page.route("**/api/models/model-1", lambda route: (left.pop(0), route.fulfill(json={}))[1])
    page.get_by_role("button", name="Remove model-1").press("Enter")
    page.wait_for_selector(".models b:text-is('model-1')", state="detached")
    assert page.evaluate(FOCUS).startswith("UL")  # another press removes nothing


def test_what_cannot_be_learned_is_refused_in_a_line(server: Server) -> None:
    with server.client() as client:
        for content, status in (({"name": "x", "rows": ["s0"]}, 404), ({"name": "x", "rows": []}, 422)):
            assert client.post("/api/models", json=content).status_code == status
        assert client.post("/api/models/none/resume").status_code == 404
        assert client.get("/api/models/..%2fx/levels").status_code == 404
        assert client.get("/api/models").json() == []
