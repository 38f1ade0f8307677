"""The page in headless Chromium: each test waits for states, never for time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from web_server import Server, serving, write_clip

from firstsight.web.rows import stated_start

GROUPED = "document.querySelector('.fs-root').dataset.ready.endsWith('+')"  # by a job, which waits for the machine


def pin(page, seconds: float) -> None:
    """Seeks the first row by a click on the axis, and pins the frame."""
    page.locator(".axis-label").first.click()  # once the frames are grouped, the page begins with a usual one
    page.wait_for_function("document.querySelector('.player-time').textContent === '0:00.00'")
    # Of the element, once it stands still: what is above it may still grow.
    page.locator(".axis-scroll").click(position={"x": 10 + seconds * 20, "y": 24 + 20 + 10})
    page.wait_for_function("document.querySelector('.player-time').textContent !== '0:00.00'")
    page.wait_for_function("document.querySelector('.player-stage').dataset.ready !== ''")
    page.keyboard.press("a")


def test_a_frame_is_found_again_and_its_moments_seek(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    pin(page, 3)
    page.wait_for_selector(".moment[aria-current]")
    assert page.locator(".anchors li").count() == 1
    before = page.locator(".player-time").first.inner_text()
    page.locator(".moment").last.click()
    page.wait_for_selector(".moment[aria-current=true]")
    page.locator(".axis-label").nth(1).click()
    page.wait_for_function("text => document.querySelector('.player-time').textContent !== text", arg=before)
    name = page.locator(".anchors input").first
    name.fill("the <b>gate</b>")
    name.press("Enter")
    page.wait_for_selector("h2:has-text('the <b>gate</b>')")
    page.reload()
    page.wait_for_selector(".anchors li")
    assert page.locator(".anchors input").first.input_value() == "the <b>gate</b>"
    show = page.locator(".anchor-show")
    chosen = show.get_attribute("aria-pressed")
    show.press("Enter")
    page.wait_for_selector(f".anchor-show:not([aria-pressed={chosen}])")
    assert page.evaluate("document.activeElement.className") == "anchor-show"  # though shown anew
    page.locator(".anchors .quiet").first.click()
    page.wait_for_selector(".anchors li", state="detached")


def test_the_keyboard_steps_and_plays(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.locator(".axis-label").first.click()
    page.wait_for_function("document.querySelector('.player-time').textContent === '0:00.00'")
    page.get_by_role("tab", name="Map").click()
    page.get_by_role("tab", name="Watch").click()  # by the mouse, which leaves the keys to the player
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.player-time').textContent !== '0:00.00'")
    page.evaluate("document.querySelector('video').loop = true")  # so that it does not end by itself
    page.keyboard.press(" ")
    page.wait_for_selector("[aria-label='Play (space)'][aria-pressed=true]")
    page.keyboard.press(" ")
    page.wait_for_selector("[aria-label='Play (space)'][aria-pressed=false]")


def test_a_box_is_searched_for(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    box = page.locator(".player-overlay").bounding_box()
    x, y, side = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 4
    page.mouse.move(x - side, y - side)
    page.mouse.down()
    page.mouse.move(x + side, y + side, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Search box").click()
    page.wait_for_selector(".anchor-picture i")
    page.wait_for_selector(".moment")
    assert "box" in page.locator(".verdict").first.inner_text()
    page.locator(".anchors .quiet").first.click()
    page.wait_for_selector(".anchors li", state="detached")


def test_what_is_absent_has_no_match_and_what_is_no_picture_is_refused(
    server: Server, open_page, tmp_path: Path
) -> None:
    page = open_page(server, expected=("400",))
    Image.new("RGB", (96, 96), (90, 20, 20)).save(tmp_path / "absent.png")
    nothing = {"is_match": False, "num_matches": 0, "threshold": 0.4, "is_measured": True, "false_match_rate": 0.05}
    nothing |= {"num_by_row": {}, "doubt": "Only 40 decoys could be made.", "moments": []}
    page.route("**/moments", lambda route: route.fulfill(json=nothing))
    (tmp_path / "false.png").write_text("<html>")
    page.locator("input[type=file]").set_input_files(tmp_path / "false.png")
    page.wait_for_selector("[role=alert]:has-text('this is no picture')")
    page.locator("input[type=file]").set_input_files(tmp_path / "absent.png")
    page.wait_for_selector("h2:has-text('No match for absent.png')")
    assert "in 5 % of searches. Only 40 decoys could be made." in page.locator(".results").inner_text()
    page.locator(".anchors .quiet").first.click()
    page.wait_for_selector(".anchors li", state="detached")


def moment(row: dict, seconds: float, *, source: str) -> dict:
    """As the server gives it."""
    return {
        "row": row["id"], "source": source, "start_seconds": seconds, "end_seconds": seconds, "best_seconds": seconds,
        "similarity": 0.9, "closer_than": None, "false_match_probability": None, "box": None, "is_match": True,
    }  # fmt: skip


def test_of_many_moments_it_says_how_many_there_are_and_where_all_are(server: Server, open_page) -> None:
    page = open_page(server)
    first, second = page.request.get(f"{server.address}/api/library").json()["rows"]
    moments = [moment(first if one < 50 else second, 0.1 * one, source="gate.mp4") for one in range(72)]
    result = {"is_match": True, "num_matches": 1_072, "threshold": 0.4, "is_measured": True, "false_match_rate": 0.05}
    result |= {"num_by_row": {first["id"]: 50, second["id"]: 1_022}, "doubt": "", "moments": moments}
    page.route("**/moments", lambda route: route.fulfill(json=result))
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.keyboard.press("a")
    page.wait_for_selector("h3:has-text('1,022 moments')")
    assert "the best 60 of 1,072; all are in the CSV" in page.locator(".results").inner_text()
    assert page.locator("h3 small").all_inner_texts() == ["50 moments", "1,022 moments"]
    assert page.locator(".drop").evaluate(
        "one => one.scrollHeight <= one.clientHeight"
    )  # what is long squeezes nothing


def test_pictures_are_named_by_their_files_and_are_no_footage_to_watch_live(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)
    library = page.request.get(f"{server.address}/api/library").json()
    rows = [{**row, "kind": "pictures", "name": "pictures"} for row in library["rows"]]
    page.route("**/api/library", lambda route: route.fulfill(json={**library, "rows": rows}))
    names = [f"=hall/{number}.png" for number in range(200)]
    page.route("**/api/rows/*/names", lambda route: route.fulfill(json=names))
    result = {"is_match": True, "num_matches": 1, "threshold": 0.4, "is_measured": False, "false_match_rate": 0.05}
    result |= {"num_by_row": {rows[0]["id"]: 1}, "doubt": "", "moments": [moment(rows[0], 3.0, source="hall/3.png")]}
    page.route("**/moments", lambda route: route.fulfill(json=result))
    page.reload()
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.keyboard.press("a")
    page.wait_for_selector(".moment[aria-label^='hall/3.png,'] b:text-is('3.png')")
    page.get_by_role("tab", name="Map").click()
    choose_all(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    head, *lines = saved.value.path().read_text().splitlines()
    assert head == "source,seconds"
    assert {line.partition("/")[0] for line in lines} == {"\"'=hall"}
    assert all(line.endswith('.png",0.000') for line in lines)
    page.get_by_role("tab", name="Live").click()
    assert page.get_by_role("button", name="Watch", exact=True).is_disabled()
    assert page.get_by_label("Footage to play as a camera").inner_text() == "no video here"
    page.get_by_label("Camera", exact=True).fill("0")
    assert page.get_by_role("button", name="Watch", exact=True).is_enabled()


def test_an_anchor_that_another_page_pins_or_removes_is_followed(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)
    with server.client() as client:
        row = client.get("/api/library").json()["rows"][0]
        anchor = client.post("/api/anchors", json={"row": row["id"], "seconds": 3.0}).json()
        client.patch(f"/api/anchors/{anchor['id']}", json={"name": "renamed"})
        page.wait_for_selector(".anchors li .verdict:has-text('moment')")
        page.wait_for_function("document.querySelector('.anchors input').value === 'renamed'")
        client.delete(f"/api/anchors/{anchor['id']}")
        page.wait_for_selector(".anchors li", state="detached")


def choose_all(page) -> None:
    """A lasso around the map."""
    page.wait_for_selector(".map-stage canvas[data-points]:not([data-points='0'])")
    box = page.locator(".map-stage canvas[data-points]").bounding_box()
    page.get_by_role("button", name="Lasso").click()
    left, top, right, low = box["x"] + 4, box["y"] + 4, box["x"] + box["width"] - 4, box["y"] + box["height"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, low), (left, low)):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    page.wait_for_selector(".player-time:has-text('frames chosen')")


def test_the_map_seeks_and_a_lasso_chooses(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)
    page.get_by_role("tab", name="Map").click()
    choose_all(page)
    page.get_by_role("button", name="Pin the middle").click()
    page.wait_for_selector(".moment")
    page.locator(".anchors .quiet").first.click()
    page.wait_for_selector(".anchors li", state="detached")


def test_views_and_the_map_are_reached_by_keys(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)
    page.get_by_role("tab", name="Watch").press("ArrowRight")
    page.wait_for_selector("#panel-map:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "tab-map"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") != "tab"  # one stop for all views
    page.wait_for_selector(".map-stage canvas[data-points]:not([data-points='0'])")
    canvas, time = page.locator(".map-stage canvas[data-points]"), page.locator(".player-time").first
    canvas.press("+")
    shown = []
    for key in ("ArrowLeft", "ArrowRight"):  # the frame furthest to the left, then to the right
        for _ in range(40):
            canvas.press(key)
        canvas.press("Enter")
        page.wait_for_function(
            "text => document.querySelector('.player-time').textContent !== text", arg="".join(shown)
        )
        shown.append(time.inner_text())
    page.get_by_role("tab", name="Map").press("End")
    page.wait_for_selector("#panel-learn:not([hidden])")


def test_what_is_like_the_frame_elsewhere_opens_and_is_laid_over_it(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.wait_for_selector(".elsewhere-open")
    page.locator(".elsewhere-compare").first.click()
    page.wait_for_selector(".compare:not([hidden])")
    page.wait_for_function("[...document.querySelectorAll('.compare img')].every(one => one.naturalWidth > 0)")
    page.keyboard.press("ArrowRight")  # moves the line, not the frame
    assert page.locator(".compare input").input_value() == "50.5"
    page.keyboard.press("Escape")
    page.wait_for_selector(".compare", state="hidden")
    before = page.locator(".player-time").first.inner_text()
    page.keyboard.press("m")
    page.locator(".elsewhere-open").first.click()
    page.wait_for_function("text => document.querySelector('.player-time').textContent !== text", arg=before)
    page.keyboard.press("m")
    page.wait_for_selector(".compare:not([hidden])")
    assert before in page.locator(".compare-word").first.inner_text()


def test_a_pasted_and_a_dropped_picture_are_searched_for(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".axis-label")
    give = """async ([type, name]) => {
        const canvas = new OffscreenCanvas(64, 64);
        canvas.getContext("2d").fillRect(8, 8, 30, 30);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], name, { type: "image/png" }));
        const options = { bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data };
        const event = type === "paste" ? new ClipboardEvent(type, options) : new DragEvent(type, options);
        document.querySelector(".fs").dispatchEvent(event);
    }"""
    for number, kind in enumerate(("paste", "drop"), start=1):
        page.evaluate(give, [kind, f"{kind}.png"])
        page.wait_for_function("num => document.querySelectorAll('.anchors li').length === num", arg=number)
    names = page.evaluate("[...document.querySelectorAll('.anchors input')].map(one => one.value)")
    assert names == ["paste.png", "drop.png"]


def test_recordings_whose_names_state_a_time_lie_in_days(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".axis-label")
    lanes = page.evaluate("""async () => {
        const { lanesByDay } = await import("/static/lanes.js");
        const row = (id, starts_at, end_seconds) => ({ id, name: id, starts_at, end_seconds });
        const day = 86400 * 20000;
        return lanesByDay([row("late", day + 86000, 900), row("none", null, 9), row("early", day + 60, 30)])
            .map((lane) => [lane.name, lane.end, lane.parts.map((part) => [part.row.id, part.index, part.offset])]);
    }""")
    assert lanes == [
        ["Fri, 4 October 2024", 86_400, [["early", 2, 60], ["late", 0, 86_000]]],
        ["Sat, 5 October 2024", 86_400, [["late", 0, -400]]],
        ["none", 9, [["none", 1, 0]]],
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cam1_20260504T083015.mp4", datetime(2026, 5, 4, 8, 30, 15, tzinfo=UTC)),
        ("2026-05-04/08.30.mp4", None),
        ("hall 2026-05-04 08-30.mp4", datetime(2026, 5, 4, 8, 30, tzinfo=UTC)),
        ("20261399083015.mp4", None),
        ("clip-2026050408301500.mp4", None),
    ],
)
def test_a_start_is_read_from_a_name_that_states_one(name: str, expected: datetime | None) -> None:
    assert stated_start(name) == (None if expected is None else expected.timestamp())


JOB = {
    "id": 7, "kind": "overview", "title": "grouping what is alike", "state": "cancelled", "what": "", "done": 0,
    "total": None, "detail": "", "error": "", "seconds": 1.0, "is_partial": False, "is_dismissed": False,
}  # fmt: skip


def test_any_job_that_ended_early_goes_on_or_is_dismissed_and_the_map_says_why_it_is_empty(
    server: Server, open_page
) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)
    jobs, asked = [JOB], []

    def answer(route) -> None:
        asked.append(route.request.url.partition("/api/")[2])
        if route.request.method == "POST":
            jobs[0] = {**jobs[0], "is_dismissed": True}
        route.fulfill(json={"state": "none-", "anchors": "", "jobs": jobs})

    library = page.request.get(f"{server.address}/api/library").json()
    page.route("**/api/library", lambda route: route.fulfill(json={**library, "state": "none", "groups": None}))
    page.route("**/api/map", lambda route: route.fulfill(status=204))
    page.route("**/api/jobs**", answer)
    page.route("**/api/jobs/**", answer)
    page.reload()
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map-stage .player-note:has-text('Grouping was cancelled. Go on with it')")
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(".job", state="hidden")
    assert "jobs/7/again" in asked
    jobs[0] = {**JOB, "state": "failed", "error": "no space left"}
    page.wait_for_selector(".job[data-state=failed]:has-text('no space left')")
    page.wait_for_selector(".map-stage .player-note:has-text('could not be grouped: no space left')")
    page.get_by_role("button", name="Dismiss grouping what is alike").click()
    page.wait_for_selector(".job", state="hidden")
    assert "jobs/7/dismiss" in asked


def test_enter_presses_the_button_that_has_the_focus(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_function(GROUPED)  # what the page shows then stays
    page.get_by_role("tab", name="Review").click()
    page.route("**/api/jobs/review", lambda route: route.fulfill(json=JOB))
    with page.expect_request("**/api/jobs/review"):
        page.get_by_role("button", name="Look for it").press("Enter")
    page.get_by_role("tab", name="Learn").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel-learn:not([hidden])")


def test_nothing_is_cut_off_at_360_pixels(server: Server, open_page) -> None:
    page = open_page(server, width=360, height=740)
    page.wait_for_selector(".axis-label")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_control_has_a_name(server: Server, open_page) -> None:
    page = open_page(server)
    page.wait_for_selector(".axis-label")
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, [tabindex]')].filter(one => !("
        "one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).map(one => one.outerHTML)"
    )
    assert nameless == []


def test_footage_is_indexed_while_it_is_looked_at_also_over_a_restart_and_a_cancel(tmp_path: Path, open_page) -> None:
    footage = tmp_path / "new"
    footage.mkdir()
    whole = write_clip(footage / "a.mp4", hue=90, num_frames=40, size=64).read_bytes()
    (footage / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (footage / "text.mp4").write_text("no video")
    expected = ("ERR_CONNECTION_REFUSED", "WebSocket", "ERR_")
    hold = tmp_path / "hold"
    hold.touch()
    with serving(footage, tmp_path / "state", hold=hold) as server:
        page = open_page(server)
        page.wait_for_selector(".player-stage[data-ready]:not([data-ready=''])")  # plays before it is indexed
        page.wait_for_selector(".job")
        page.locator(".job button:has-text('Cancel')").click()
        page.wait_for_selector(".job[data-state=cancelled]")
        hold.unlink()
        page.locator(".job button:has-text('Go on')").click()
        page.wait_for_selector(".job[data-state=running], .job[data-state=waiting]")
        page.close()  # it goes on without the tab
    with serving(footage, tmp_path / "state") as server:
        page = open_page(server, expected=expected)
        page.wait_for_function(GROUPED)
        page.wait_for_selector(".counts:has-text('1 source · 8 frames · 2 not readable')")
        page.wait_for_selector(".job[data-state=done]:has-text('2 not readable: cut.mp4, text.mp4')")
        page.locator(".axis-label[title^='cut.mp4: cut.mp4 is not a video']").click()
        page.wait_for_selector(".player-note:has-text('cut.mp4 is not a video')")
        page.locator(".axis-label[title='a.mp4']").click()
        page.wait_for_selector(".player-stage[data-ready^=s] .player-note:empty", state="attached")
        page.get_by_role("button", name="Dismiss indexing new").click()
        page.wait_for_selector(".job", state="hidden")
        page.reload()
        page.wait_for_selector(".counts:has-text('2 not readable')")
        page.wait_for_selector(".job", state="hidden")
