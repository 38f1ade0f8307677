// The map: each point a frame, similar ones near each other; pictures near, dots far; a lasso chooses some.
import { getBytes } from "./api.js";
import { counted, groupColour, h, sharpContext, timeText, token } from "./dom.js";
import { emit, on, seek, state } from "./state.js";
import { loadImage } from "./tiles.js";

const SIDE = 64, COLUMNS = 16, NUMBERS = 5; // as routes.py states them
const PICTURES_FROM = 26; // pixels between points, from which on they are pictures

export class FrameMap {
  constructor(parent, { pin }) {
    this.pin = pin;
    this.canvas = h("canvas", { tabIndex: 0, role: "img", "aria-label": "Map of the footage: similar frames lie near each other" });
    this.note = h("div", { class: "player-note", role: "status" });
    this.lasso = h("button", { "aria-pressed": "false", onclick: () => this.setLasso(!this.isLasso) }, "Lasso");
    this.pinButton = h("button", { class: "primary", hidden: true, onclick: () => this.pinMiddle() }, "Pin the middle");
    this.csv = h("button", { hidden: true, onclick: () => this.save() }, "CSV");
    this.chosen = h("span", { class: "player-time" });
    parent.append(h("div", { class: "player-stage map-stage" }, this.canvas, this.note),
      h("div", { class: "player-controls" }, this.lasso, h("button", { onclick: () => this.fit() }, "Show all"), this.chosen, this.csv, this.pinButton));
    this.parent = parent;
    this.points = new Float32Array(0);
    this.atlases = [];
    this.view = { x: 0.5, y: 0.5, zoom: 0.92 };
    this.listen();
    on("library", () => this.load());
    for (const event of ["position", "selection", "anchors", "theme"]) on(event, () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.canvas.parentElement);
  }

  get num() { return this.points.length / NUMBERS; }

  async load() {
    const bytes = await getBytes("/map").catch(() => new Uint8Array(0));
    this.points = new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
    this.note.textContent = this.num ? "" : "The map appears here once the footage is indexed and grouped.";
    this.atlases = [];
    this.choose([]);
    this.paint();
  }

  fit() {
    this.view = { x: 0.5, y: 0.5, zoom: 0.92 };
    this.paint();
  }

  get scale() { return Math.min(this.canvas.clientWidth, this.canvas.clientHeight) * this.view.zoom; }
  at(index) {
    const [x, y] = this.points.subarray(index * NUMBERS, index * NUMBERS + 2);
    return [(x - this.view.x) * this.scale + this.canvas.clientWidth / 2, (y - this.view.y) * this.scale + this.canvas.clientHeight / 2];
  }
  row(index) { return state.library.rows[this.points[index * NUMBERS + 2]]; }
  time(index) { return this.points[index * NUMBERS + 3]; }

  atlas(number) {
    if (this.atlases[number] === undefined) {
      this.atlases[number] = null;
      const wanted = this.atlases;
      loadImage(`/api/map/atlas/${number}?v=${state.library.state}`).then((image) => { wanted[number] = image; this.paint(); }, () => {});
    }
    return this.atlases[number];
  }

  paint() {
    if (this.parent.hidden || this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paintNow(); });
  }

  paintNow() {
    const { canvas } = this, context = sharpContext(canvas, canvas.clientWidth, canvas.clientHeight);
    const apart = this.scale / Math.sqrt(Math.max(1, this.num)), isNear = apart > PICTURES_FROM;
    const side = isNear ? Math.min(SIDE, apart * 1.1) : 0;
    const chosen = new Set(this.selection);
    for (let index = 0; index < this.num; index++) {
      const [x, y] = this.at(index);
      if (x < -SIDE || y < -SIDE || x > canvas.clientWidth + SIDE || y > canvas.clientHeight + SIDE) continue;
      const group = this.points[index * NUMBERS + 4];
      const image = isNear && this.atlas(Math.floor(index / COLUMNS ** 2)), own = index % COLUMNS ** 2;
      context.globalAlpha = chosen.size && !chosen.has(index) ? 0.25 : 1;
      context.fillStyle = context.strokeStyle = group ? groupColour(group - 1) : token("--muted");
      if (image) {
        context.drawImage(image, (own % COLUMNS) * SIDE, Math.floor(own / COLUMNS) * SIDE, SIDE, SIDE, x - side / 2, y - side / 2, side, side);
        context.lineWidth = 2;
        context.strokeRect(x - side / 2, y - side / 2, side, side);
      } else {
        context.beginPath(); context.arc(x, y, Math.max(2.5, Math.min(7, apart / 3)), 0, 7); context.fill();
      }
    }
    context.globalAlpha = 1;
    const now = this.nearestToPosition();
    if (now >= 0) {
      const [x, y] = this.at(now);
      context.strokeStyle = token("--accent");
      context.lineWidth = 3;
      context.beginPath(); context.arc(x, y, Math.max(9, side / 2 + 4), 0, 7); context.stroke();
    }
    if (this.path?.length) {
      context.strokeStyle = token("--text");
      context.setLineDash([5, 4]);
      context.lineWidth = 1.5;
      context.beginPath(); this.path.forEach(([x, y]) => context.lineTo(x, y)); context.closePath(); context.stroke();
    }
    canvas.dataset.points = String(this.num);
  }

  nearestToPosition() {
    let best = -1, least = Infinity;
    for (let index = 0; index < this.num; index++) {
      if (this.row(index)?.id !== state.position.row) continue;
      const far = Math.abs(this.time(index) - state.position.seconds);
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  pick(x, y) {
    let best = -1, least = 24 ** 2;
    for (let index = 0; index < this.num; index++) {
      const [px, py] = this.at(index), far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  setLasso(is) {
    this.isLasso = is;
    this.lasso.setAttribute("aria-pressed", String(is));
  }

  choose(selection) {
    this.selection = selection;
    this.chosen.textContent = selection.length ? `${counted(selection.length, "frame")} chosen` : "";
    this.csv.hidden = this.pinButton.hidden = !selection.length;
    state.selected = selection.map((index) => [this.row(index)?.id, this.time(index)]);
    emit("selection");
  }

  pinMiddle() {
    const mean = [0, 1].map((axis) => this.selection.reduce((sum, one) => sum + this.points[one * NUMBERS + axis], 0) / this.selection.length);
    const far = (one) => (this.points[one * NUMBERS] - mean[0]) ** 2 + (this.points[one * NUMBERS + 1] - mean[1]) ** 2;
    const middle = this.selection.reduce((best, one) => (far(one) < far(best) ? one : best));
    this.pin({ row: this.row(middle).id, seconds: this.time(middle), box: null });
  }

  save() {
    const cell = (text) => `"${(/^[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
    const lines = this.selection.map((one) => `${cell(this.row(one).name)},${this.time(one).toFixed(3)}`);
    const link = h("a", { href: URL.createObjectURL(new Blob([["source,seconds", ...lines, ""].join("\n")], { type: "text/csv" })), download: "frames.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  listen() {
    const { canvas } = this;
    const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    let begin = null, moved = 0;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = at(event), before = this.scale, factor = 2 ** (-Math.max(-200, Math.min(200, event.deltaY)) / 200);
      const zoom = Math.max(0.5, Math.min(60, this.view.zoom * factor)), after = (before / this.view.zoom) * zoom;
      this.view.x += (x - canvas.clientWidth / 2) * (1 / before - 1 / after);
      this.view.y += (y - canvas.clientHeight / 2) * (1 / before - 1 / after);
      this.view.zoom = zoom;
      this.paint();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      begin = at(event);
      moved = 0;
      this.path = this.isLasso ? [begin] : null;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (!begin) {
        const near = this.pick(x, y);
        canvas.title = near >= 0 ? `${this.row(near)?.name} ${timeText(this.time(near), true)}` : "";
        canvas.style.cursor = this.isLasso ? "crosshair" : near >= 0 ? "pointer" : "grab";
        return;
      }
      moved += Math.abs(x - begin[0]) + Math.abs(y - begin[1]);
      if (this.path) this.path.push([x, y]);
      else { this.view.x -= (x - begin[0]) / this.scale; this.view.y -= (y - begin[1]) / this.scale; }
      begin = [x, y];
      this.paint();
    });
    canvas.addEventListener("pointerup", (event) => {
      const [x, y] = at(event), path = this.path;
      begin = this.path = null;
      if (path && moved > 10) {
        this.choose([...Array(this.num).keys()].filter((index) => isInside(this.at(index), path)));
        this.setLasso(false);
      } else if (moved < 5) {
        const near = this.pick(x, y);
        if (near >= 0) seek(this.row(near).id, this.time(near));
        else this.choose([]);
      }
      this.paint();
    });
  }
}

function isInside([x, y], path) {
  let inside = false;
  for (let one = 0, before = path.length - 1; one < path.length; before = one++) {
    const [ax, ay] = path[one], [bx, by] = path[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
