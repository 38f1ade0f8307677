// Live: a camera, or a file played as one: the frame, how close it is to each anchor, what is new, and events.
import { get, remove, send } from "./api.js";
import { drawAgreement } from "./agreement.js";
import { ANCHOR_COLOURS, h, sharpContext, timeText, token } from "./dom.js";
import { activeAnchor, on, state } from "./state.js";

const EVERY_MS = 300, SPAN_SECONDS = 120, CLOSE = 0.5, NEW = 8, TIMES = 14;

export class Live {
  constructor(parent, { report }) {
    Object.assign(this, { report, number: 0, points: [], parent });
    this.keys = {};
    this.row = h("select", { "aria-label": "Footage to play as a camera" });
    this.camera = h("input", { "aria-label": "Camera", placeholder: "or a camera: 0, rtsp://…", maxLength: 500, spellcheck: false, oninput: () => this.allow() });
    this.startButton = h("button", { class: "primary", type: "submit" }, "Watch");
    this.stopButton = h("button", { type: "button", hidden: true, onclick: () => this.stop() }, "Stop");
    this.agree = h("input", { type: "checkbox", onchange: () => this.paint() });
    this.status = h("span", { class: "hint", role: "status" });
    this.form = h("form", { class: "chips", onsubmit: (event) => { event.preventDefault(); this.start(); } }, this.row, this.camera, this.startButton, this.stopButton,
      h("label", { class: "player-agree" }, this.agree, h("span", {}, "where it agrees")), this.status);
    this.image = h("img", { alt: "What the camera shows now", hidden: true });
    this.overlay = h("canvas", { "aria-hidden": "true" });
    this.note = h("div", { class: "player-note" }, "Choose footage or a camera, and watch: closeness to your anchors, and what is new, as it happens.");
    this.stage = h("div", { class: "player-stage" }, this.image, this.overlay, this.note);
    this.curves = h("canvas", { class: "live-curves", role: "img", "aria-label": "Closeness to each anchor, and novelty, over the last two minutes" });
    this.events = h("ol", { class: "live-events", "aria-label": "Events", "aria-live": "polite" });
    parent.append(this.form, h("div", { class: "live" }, this.stage, h("div", { class: "live-below" }, this.curves, this.events)));
    on("library", () => this.showRows());
    on("view", (name) => { if (name === "live") this.poll(); });
    for (const event of ["theme", "anchors"]) on(event, () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.curves);
  }

  showRows() {
    const before = this.row.selectedOptions[0]?.textContent, rows = (state.library?.rows ?? []).filter((row) => row.kind === "video" && !row.error);
    this.row.replaceChildren(...(rows.length ? rows.map((row) => h("option", { value: row.id }, row.name)) : [h("option", { value: "" }, "no video here")]));
    this.row.disabled = !rows.length;
    this.allow();
    const longest = rows.reduce((one, other) => (other.end_seconds > (one?.end_seconds ?? 0) ? other : one), null);
    this.row.value = rows.find((row) => row.name === before)?.id ?? longest?.id ?? ""; // by name: a row has another id once it is indexed
  }

  // There is something to watch: footage, or a camera.
  allow() {
    this.startButton.disabled = this.row.disabled && !this.camera.value.trim();
  }

  async start() {
    try {
      const camera = this.camera.value.trim();
      await send("/live", camera ? { camera } : { row: this.row.value });
      this.report(null);
      this.number = 0;
      this.points = [];
    } catch (error) {
      this.report(error);
    }
    this.poll();
  }

  async stop() {
    await remove("/live").catch((error) => this.report(error));
    this.poll();
  }

  // While it is looked at; the server ends what nobody asks for.
  async poll() {
    clearTimeout(this.timer);
    if (this.parent.hidden) return;
    this.isWanted = this.isAsking; // what is being asked may be of before it was started
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const found = await get(`/live?after=${this.number}`);
      if (found.number < this.number) this.points = [];
      this.points.push(...found.points);
      const since = (this.points.at(-1)?.seconds ?? 0) - SPAN_SECONDS;
      this.points = this.points.filter((one) => one.seconds >= since && one.seconds <= this.points.at(-1).seconds);
      if (Object.keys(found.cells).length) this.cells = found.cells;
      await this.show(found);
      this.number = found.number;
    } catch (error) {
      this.status.textContent = error.message;
    }
    this.isAsking = false;
    if (this.isWanted) return this.poll();
    if (["on", "starting"].includes(this.found?.state)) this.timer = setTimeout(() => this.poll(), EVERY_MS);
  }

  async show(found) {
    this.found = found;
    const isOn = ["on", "starting"].includes(found.state);
    const words = { off: "", starting: `opening ${found.source} …`, on: `watching ${found.source}`, ended: `${found.source} has ended`, failed: found.error };
    this.status.textContent = words[found.state];
    this.status.classList.toggle("error", found.state === "failed");
    this.stopButton.hidden = !isOn;
    const row = (state.library?.rows ?? []).find((one) => one.name === found.source);
    if (row && isOn && !this.isShown) { this.isShown = true; this.row.value = row.id; } // also after a reload
    if (found.number && found.number !== this.number) {
      this.image.src = `/api/live/picture?n=${found.number}`;
      await this.image.decode().catch(() => {});
      this.image.hidden = false;
      this.note.hidden = true;
    }
    const shown = JSON.stringify([found.events, !found.number]); // what is said again is read aloud again
    if (shown !== this.keys.events) this.events.replaceChildren(...found.events.slice(0, 60).map((event) => h("li", { class: event.kind.startsWith("novel") ? "new" : "" }, h("b", {}, timeText(event.seconds, true)), h("span", {}, eventText(event)))));
    if (shown !== this.keys.events && !found.events.length) this.events.replaceChildren(h("li", { class: "hint" }, found.number ? "no event so far" : "Events appear here."));
    this.keys.events = shown;
    this.parent.dataset.live = found.state;
    this.parent.dataset.seconds = String(this.points.at(-1)?.seconds ?? 0);
    this.paint();
  }

  paint() {
    if (this.parent.hidden) return;
    this.paintStage();
    const width = this.curves.clientWidth, height = this.curves.clientHeight, context = sharpContext(this.curves, width, height);
    const last = this.points.at(-1)?.seconds ?? 0, begin = Math.max(0, last - SPAN_SECONDS), x = (seconds) => 8 + ((seconds - begin) / Math.max(20, last - begin)) * (width - 16);
    const anchors = state.anchors.filter((one) => this.points.some((point) => one.id in point.closeness));
    const lanes = [...anchors.map((one) => ({ name: one.name, colour: ANCHOR_COLOURS[one.colour], says: "in sight", from: CLOSE, most: 1, value: (point) => point.closeness[one.id] })),
      { name: "novelty", colour: token("--bad"), says: "new", from: NEW, most: Math.max(2 * NEW, ...this.points.map((point) => point.novelty ?? 0)), value: (point) => point.novelty }];
    const tall = (height - TIMES) / lanes.length;
    lanes.forEach((lane, number) => paintLane(context, lane, this.points, { x, top: number * tall, tall, width }));
    paintTimes(context, this.points, { x, y: height - 4, width });
  }

  paintStage() {
    const across = this.stage.clientWidth, down = this.stage.clientHeight, context = sharpContext(this.overlay, across, down);
    const cells = this.cells?.[activeAnchor()?.id] ?? Object.values(this.cells ?? {})[0];
    if (!cells || !this.agree.checked || !this.image.naturalWidth || this.image.hidden) return;
    const scale = Math.min(across / this.image.naturalWidth, down / this.image.naturalHeight), width = this.image.naturalWidth * scale, height = this.image.naturalHeight * scale;
    drawAgreement(context, { x: (across - width) / 2, y: (down - height) / 2, width, height }, cells);
  }
}

function paintLane(context, lane, points, { x, top, tall, width }) {
  const low = top + tall - 6, high = top + 18, y = (value) => low - (low - high) * Math.max(0, Math.min(1, value / lane.most));
  context.setLineDash([3, 4]);
  context.lineWidth = 1;
  context.strokeStyle = token("--muted");
  context.beginPath(); context.moveTo(8, y(lane.from)); context.lineTo(width - 8, y(lane.from)); context.stroke();
  context.setLineDash([]);
  context.font = "11px system-ui";
  context.fillStyle = token("--muted");
  context.textAlign = "right";
  context.fillText(lane.says, width - 8, y(lane.from) - 4);
  context.textAlign = "left";
  context.strokeStyle = lane.colour;
  context.lineWidth = 2;
  context.beginPath();
  for (const point of points) if (lane.value(point) !== null && lane.value(point) !== undefined) context.lineTo(x(point.seconds), y(lane.value(point)));
  context.stroke();
  context.font = "600 12px system-ui";
  context.fillStyle = token("--text");
  const now = points.length ? lane.value(points.at(-1)) : null;
  context.fillText(`${lane.name}${now === null || now === undefined ? "" : `  ${now.toFixed(2)}`}`, 8, top + 13);
}

// When the first and the last point were.
function paintTimes(context, points, { x, y, width }) {
  if (!points.length) return;
  context.font = "11px system-ui";
  context.fillStyle = token("--muted");
  const [first, last] = [points[0].seconds, points.at(-1).seconds], start = x(first), end = Math.min(x(last), width - 8);
  context.fillText(timeText(first), start, y);
  if (end - start < 90) return;
  context.textAlign = "right";
  context.fillText(timeText(last), end, y);
  context.textAlign = "left";
}

function eventText(event) {
  const anchor = state.anchors.find((one) => one.id === event.anchor)?.name ?? event.anchor ?? "";
  const words = { "match begins": `${anchor} is in sight`, "match ends": `${anchor} is out of sight`, "novel begins": "something new", "novel ends": "nothing new any more", moved: "the camera was moved", "covered begins": "the view is covered", "covered ends": "the view is free again", "dark begins": "it is dark", "dark ends": "it is light again", "frozen begins": "the picture stands still", "frozen ends": "the picture moves again", left: "something was left", taken: "something was taken", lost: `lost: ${event.reason ?? ""}`, back: "back" };
  return words[event.kind] ?? event.kind;
}
