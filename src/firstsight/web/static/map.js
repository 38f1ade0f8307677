// The map: each point a frame, similar ones near each other; dots far, pictures near; a lasso chooses some.
import { get, getBytes } from "./api.js";
import { counted, groupColour, h, press, sharpContext, timeText, token } from "./dom.js";
import { makePoints, PointGrid } from "./points.js";
import { activeAnchor, emit, isPicture, on, seek, state } from "./state.js";
import { loadImage } from "./tiles.js";

const SIDE = 64, COLUMNS = 16, BYTES = 13; // as routes.py states them
const RESTING_MS = 150;
const FULL = 65535; // of a position
const PICTURES_FROM = 26, MOST_PICTURES = 400; // pixels between points, from which on they are pictures
const BY_ATLAS = 4096; // points; of more, pictures are asked for one by one
const COLOURS = { group: "group", source: "source", time: "time in its source", anchor: "similarity to the anchor" };

export class FrameMap {
  constructor(parent, { pin, report }) {
    Object.assign(this, { pin, report });
    this.dots = h("canvas", { class: "map-dots", "aria-hidden": "true" });
    this.canvas = h("canvas", { tabIndex: 0, role: "application", "aria-label": "Map of the footage: similar frames lie near each other. Arrows move, plus and minus zoom, 0 shows all, Enter opens the frame nearest to the middle." });
    this.note = h("div", { class: "player-note", role: "status" });
    this.lasso = h("button", { "aria-pressed": "false", onclick: () => this.setLasso(!this.isLasso) }, "Lasso");
    this.colour = h("select", { "aria-label": "Colour by", onchange: () => this.colourPoints() }, ...Object.entries(COLOURS).map(([value, text]) => h("option", { value }, `by ${text}`)));
    this.pinButton = h("button", { class: "primary", hidden: true, onclick: () => this.pinMiddle() }, "Pin the middle");
    this.csv = h("button", { hidden: true, onclick: () => this.save() }, "CSV");
    this.chosen = h("span", { class: "player-time" });
    parent.append(h("div", { class: "player-stage map-stage" }, this.dots, this.canvas, this.note),
      h("div", { class: "player-controls" }, this.lasso, h("button", { onclick: () => this.fit() }, "Show all"), this.colour, this.chosen, this.csv, this.pinButton));
    this.parent = parent;
    this.points = makePoints(this.dots);
    this.pictures = new Map();
    this.take(new Uint8Array(0));
    this.view = { x: 0.5, y: 0.5, zoom: 0.92 };
    this.listen();
    on("library", () => this.load());
    for (const event of ["position", "theme"]) on(event, () => this.paint());
    for (const event of ["selection", "anchors"]) on(event, () => { if (this.colour.value === "anchor") this.colourPoints(); this.paint(); });
    on("view", (name) => name === "map" && this.load());
    on("jobs", () => this.isKnown && this.explain());
    new ResizeObserver(() => this.paint()).observe(this.canvas.parentElement);
  }

  // Asked for when it is looked at, and again when the library has changed.
  async load() {
    if (this.parent.hidden || !state.library) return;
    const version = state.library.state + (state.library.groups ? "+" : "-");
    if (this.loaded === version) return this.paint();
    this.loaded = version;
    this.isKnown = false;
    this.note.textContent = "";
    try {
      this.take(await getBytes("/map"));
    } catch (error) {
      this.take(new Uint8Array(0));
      this.loaded = null; // asked again when it is looked at again
      this.note.textContent = error.message;
    }
    if (this.loaded !== version) return;
    this.isKnown = true;
    this.explain();
    this.choose([]);
    await this.colourPoints();
  }

  // Why there is no map, if there is none.
  explain() {
    this.note.textContent = this.num ? "" : reason(state.library, state.jobs.find((one) => one.kind === "overview"));
  }

  // Columns, one after the other: x and y, 0 to 65535; row number; seconds; group.
  take(bytes) {
    const num = (this.num = Math.floor(bytes.length / BYTES)), from = (kind, start, length) => new kind(bytes.slice(start, start + length * kind.BYTES_PER_ELEMENT).buffer);
    const [x, y] = [from(Uint16Array, 0, num), from(Uint16Array, 2 * num, num)];
    this.at = new Uint16Array(2 * num);
    for (let index = 0; index < num; index++) { this.at[2 * index] = x[index]; this.at[2 * index + 1] = y[index]; }
    this.rows = from(Uint32Array, 4 * num, num);
    this.seconds = from(Float32Array, 8 * num, num);
    this.groups = bytes.subarray(12 * num, 13 * num);
    this.grid = new PointGrid(this.at);
    this.isChosen = new Uint8Array(num);
    this.selection = [];
    this.ofRow = new Map(); // first and last index of each row, whose points follow each other in time
    for (let index = 0; index < num; index++) { const one = this.ofRow.get(this.rows[index]); if (one) one[1] = index; else this.ofRow.set(this.rows[index], [index, index]); }
    this.pictures.clear();
    this.points.set("at", this.at);
    this.points.set("chosen", this.isChosen);
  }

  async colourPoints() {
    const by = this.colour.value, { num } = this, turn = (this.turn = (this.turn ?? 0) + 1), colours = new Uint8Array(4 * num), anchor = activeAnchor() ?? state.anchors[0];
    const fill = (index, [red, green, blue]) => { colours[4 * index] = red; colours[4 * index + 1] = green; colours[4 * index + 2] = blue; colours[4 * index + 3] = 255; };
    const muted = parsed(token("--muted")), shades = new Map(), shade = (number) => { if (!shades.has(number)) shades.set(number, parsed(groupColour(number))); return shades.get(number); };
    const scale = Array.from({ length: 256 }, (_, value) => warm(value / 255));
    const similar = by === "anchor" && anchor ? await getBytes(`/map/similarity/${anchor.id}`).catch(() => null) : null;
    if (turn !== this.turn || num !== this.num) return; // another choice was made meanwhile, or it is another map
    for (let index = 0; index < num; index++) {
      if (by === "group") fill(index, this.groups[index] ? shade(this.groups[index] - 1) : muted);
      else if (by === "source") fill(index, shade(this.rows[index]));
      else if (by === "time") fill(index, scale[Math.round(255 * Math.min(1, this.seconds[index] / Math.max(1e-3, this.row(index)?.end_seconds ?? 1)))]);
      else fill(index, similar?.length === num ? scale[similar[index]] : muted);
    }
    this.colours = colours;
    this.points.set("colour", colours);
    this.canvas.dataset.colour = by;
    this.paint();
  }

  fit() {
    this.view = { x: 0.5, y: 0.5, zoom: 0.92 };
    this.paint();
  }

  // By pixels.
  pan(x, y) {
    const moved = (from, by) => Math.max(Math.min(0, from), Math.min(Math.max(1, from), from + by)); // no further away
    this.view.x = moved(this.view.x, x / this.scale);
    this.view.y = moved(this.view.y, y / this.scale);
    this.move();
  }

  // What is at a pixel stays there.
  zoom(factor, x, y) {
    const before = this.scale, most = Math.max(60, Math.sqrt(this.num) / 4); // until neighbours are pictures
    const zoom = Math.max(0.5, Math.min(most, this.view.zoom * factor)), after = (before / this.view.zoom) * zoom;
    this.view.x += (x - this.canvas.clientWidth / 2) * (1 / before - 1 / after);
    this.view.y += (y - this.canvas.clientHeight / 2) * (1 / before - 1 / after);
    this.view.zoom = zoom;
    this.move();
  }

  open(index) {
    if (index >= 0) seek(this.row(index).id, this.time(index));
  }

  get scale() { return Math.min(this.canvas.clientWidth, this.canvas.clientHeight) * this.view.zoom; }
  place(index) {
    return [(this.at[2 * index] / FULL - this.view.x) * this.scale + this.canvas.clientWidth / 2, (this.at[2 * index + 1] / FULL - this.view.y) * this.scale + this.canvas.clientHeight / 2];
  }
  // Positions, 0 to 65535, of a pixel.
  unplace(x, y) {
    return [((x - this.canvas.clientWidth / 2) / this.scale + this.view.x) * FULL, ((y - this.canvas.clientHeight / 2) / this.scale + this.view.y) * FULL];
  }
  row(index) { return state.library.rows[this.rows[index]]; }
  time(index) { return this.seconds[index]; }

  picture(index) {
    const byAtlas = this.num <= BY_ATLAS, key = byAtlas ? Math.floor(index / COLUMNS ** 2) : `p${index}`, kept = this.pictures;
    if (!kept.has(key)) {
      kept.set(key, null);
      if (kept.size > 3 * MOST_PICTURES) kept.delete(kept.keys().next().value);
      const path = byAtlas ? `/api/map/atlas/${key}?v=${state.library.state}` : `/api/rows/${this.row(index).id}/thumbnail?seconds=${this.time(index).toFixed(3)}`;
      loadImage(path).then((image) => { kept.set(key, image); this.paint(); }, () => {});
    }
    return kept.get(key);
  }

  paint() {
    if (this.parent.hidden || this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paintNow(); });
  }

  paintNow() {
    const { canvas } = this, begin = performance.now(), context = sharpContext(canvas, canvas.clientWidth, canvas.clientHeight);
    const apart = this.scale / Math.sqrt(Math.max(1, this.num));
    this.points.draw({ x: this.view.x, y: this.view.y, scale: this.scale, size: Math.max(1.6, Math.min(8, 0.7 * apart)), isAnyChosen: this.selection.length > 0, isMoving: this.isMoving });
    const side = apart > PICTURES_FROM ? Math.min(SIDE, apart * 1.1) : 0;
    if (side) this.paintPictures(context, side);
    const now = this.nearestToPosition();
    if (now >= 0) {
      const [x, y] = this.place(now);
      context.strokeStyle = token("--accent");
      context.lineWidth = 3;
      context.beginPath(); context.arc(x, y, Math.max(9, side / 2 + 4), 0, 7); context.stroke();
    }
    if (canvas.matches(":focus-visible")) this.paintMiddle(context, side);
    if (this.path?.length) {
      context.strokeStyle = token("--text");
      context.setLineDash([5, 4]);
      context.lineWidth = 1.5;
      context.beginPath(); this.path.forEach(([x, y]) => context.lineTo(x, y)); context.closePath(); context.stroke();
    }
    canvas.dataset.points = String(this.num);
    canvas.dataset.painted = `${1 + Number.parseInt(canvas.dataset.painted ?? "0", 10)} in ${(performance.now() - begin).toFixed(1)} ms`;
  }

  // Where Enter opens a frame, for whoever has come by keys: a cross, and a ring around that frame.
  paintMiddle(context, side) {
    const { middle } = this, near = this.atMiddle();
    context.strokeStyle = token("--text");
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [x, y] of [[7, 0], [0, 7]]) { context.moveTo(middle[0] - x, middle[1] - y); context.lineTo(middle[0] + x, middle[1] + y); }
    if (near >= 0) { const [x, y] = this.place(near), radius = Math.max(7, side / 2 + 2); context.moveTo(x + radius, y); context.arc(x, y, radius, 0, 7); }
    context.stroke();
  }

  // Paints at once, a sample of many points; and all of them once the map stays.
  move() {
    this.isMoving = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => { this.isMoving = false; this.paint(); }, RESTING_MS);
    this.paint();
  }

  paintPictures(context, side) {
    const some = [];
    this.inSight((index) => some.push(index) < MOST_PICTURES);
    context.lineWidth = 2;
    for (const index of some) {
      const image = this.picture(index), [x, y] = this.place(index), own = this.num <= BY_ATLAS ? index % COLUMNS ** 2 : null;
      if (!image) continue;
      context.globalAlpha = this.selection.length && !this.isChosen[index] ? 0.25 : 1;
      if (own === null) {
        const square = Math.min(image.width, image.height);
        context.drawImage(image, (image.width - square) / 2, (image.height - square) / 2, square, square, x - side / 2, y - side / 2, side, side);
      } else context.drawImage(image, (own % COLUMNS) * SIDE, Math.floor(own / COLUMNS) * SIDE, SIDE, SIDE, x - side / 2, y - side / 2, side, side);
      context.strokeStyle = `rgb(${this.colours.slice(4 * index, 4 * index + 3).join(" ")})`;
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
    context.globalAlpha = 1;
  }

  inSight(each) {
    const [x0, y0] = this.unplace(-SIDE, -SIDE), [x1, y1] = this.unplace(this.canvas.clientWidth + SIDE, this.canvas.clientHeight + SIDE);
    this.grid.inBox(x0, y0, x1, y1, each);
  }

  nearestToPosition() {
    const number = state.library?.rows.findIndex((row) => row.id === state.position.row) ?? -1, [low, high] = this.ofRow.get(number) ?? [0, -1];
    let first = low, last = high;
    while (first < last) { const middle = (first + last) >> 1; if (this.seconds[middle] < state.position.seconds) first = middle + 1; else last = middle; }
    if (first > low && first <= high && state.position.seconds - this.seconds[first - 1] < this.seconds[first] - state.position.seconds) first -= 1;
    return high < low ? -1 : first;
  }

  // The nearest point, if it is within so many pixels; -1 if there is none.
  pick(x, y, within = 24) {
    let best = -1, least = within ** 2;
    this.grid.inBox(...this.unplace(x - within, y - within), ...this.unplace(x + within, y + within), (index) => {
      const [px, py] = this.place(index), far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [index, far];
    });
    return best;
  }

  get middle() { return [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]; }
  // The point nearest to the middle; -1 if there are none.
  atMiddle() { return [24, 96, 384, Infinity].reduce((found, within) => (found < 0 ? this.pick(...this.middle, within) : found), -1); }

  setLasso(is) {
    this.isLasso = is;
    this.lasso.setAttribute("aria-pressed", String(is));
  }

  choose(selection) {
    this.selection = selection;
    this.isChosen.fill(0);
    for (const index of selection) this.isChosen[index] = 255;
    this.points.set("chosen", this.isChosen);
    this.chosen.textContent = selection.length ? `${counted(selection.length, "frame")} chosen` : "";
    this.csv.hidden = this.pinButton.hidden = !selection.length;
    state.selected = new Map(); // times by row
    for (let first = 0, last = 0; first < selection.length; first = last) {
      while (last < selection.length && this.rows[selection[last]] === this.rows[selection[first]]) last += 1;
      state.selected.set(this.row(selection[first])?.id, Float32Array.from(selection.slice(first, last), (index) => this.time(index)));
    }
    emit("selection");
  }

  // What lies in a path of pixels.
  chooseInside(path) {
    const corners = path.map(([x, y]) => this.unplace(x, y)), marks = new Uint8Array(this.num);
    let num = 0;
    this.grid.inPath(corners, this.at, (index) => { marks[index] = 1; num += 1; });
    const inside = new Uint32Array(num);
    for (let index = 0, next = 0; index < this.num; index++) if (marks[index]) inside[next++] = index; // in order of rows and time
    this.choose(inside);
  }

  pinMiddle() {
    let [x, y] = [0, 0];
    for (const one of this.selection) { x += this.at[2 * one] / this.selection.length; y += this.at[2 * one + 1] / this.selection.length; }
    const far = (one) => (this.at[2 * one] - x) ** 2 + (this.at[2 * one + 1] - y) ** 2;
    const middle = this.selection.reduce((best, one) => (far(one) < far(best) ? one : best));
    this.pin({ row: this.row(middle).id, seconds: this.time(middle), box: null });
  }

  // A line a frame; a picture is named by its file, which the row does not name.
  async save() {
    const rows = new Set(Array.from(this.selection, (one) => this.row(one).id).filter(isPicture)), names = new Map();
    try {
      for (const row of rows) names.set(row, await get(`/rows/${row}/names`));
    } catch (error) {
      return this.report(error);
    }
    const place = (one) => { const { id, name } = this.row(one), files = names.get(id); return files ? [files[Math.round(this.time(one))], 0] : [name, this.time(one)]; };
    const cell = (text) => `"${(/^[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
    const lines = Array.from(this.selection, (one) => { const [name, seconds] = place(one); return `${cell(name)},${seconds.toFixed(3)}`; });
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
      this.zoom(2 ** (-Math.max(-200, Math.min(200, event.deltaY)) / 200), ...at(event));
    }, { passive: false });
    const zoom = (factor) => { const near = this.atMiddle(); this.zoom(factor, ...(near < 0 ? this.middle : this.place(near))); };
    const keys = {
      ArrowLeft: () => this.pan(-80, 0), ArrowRight: () => this.pan(80, 0), ArrowUp: () => this.pan(0, -80), ArrowDown: () => this.pan(0, 80),
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => this.fit(), Enter: () => this.open(this.atMiddle()),
    };
    canvas.addEventListener("keydown", (event) => press(event, keys));
    for (const type of ["focus", "blur"]) canvas.addEventListener(type, () => this.paint());
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
      if (this.path) { this.path.push([x, y]); this.move(); } else this.pan(begin[0] - x, begin[1] - y);
      begin = [x, y];
    });
    canvas.addEventListener("pointerup", (event) => {
      const [x, y] = at(event), path = this.path;
      begin = this.path = null;
      if (path && moved > 10) {
        this.chooseInside(path);
        this.setLasso(false);
      } else if (moved < 5) {
        const near = this.pick(x, y);
        if (near >= 0) this.open(near);
        else this.choose([]);
      }
      this.paint();
    });
  }
}

function reason({ groups, num_frames: num }, job) {
  if (groups) return "There are too few frames for a map.";
  const why = num && { failed: `The frames could not be grouped: ${job?.error}.`, cancelled: "Grouping was cancelled." }[job?.state];
  if (why) return job.is_dismissed ? why : `${why} Go on with it to see the map.`;
  return "The map appears here once the footage is indexed and grouped.";
}

const reader = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

// Red, green, blue of a colour as a style has it.
function parsed(colour) {
  reader.fillStyle = colour;
  reader.fillRect(0, 0, 1, 1);
  return reader.getImageData(0, 0, 1, 1).data;
}

// From blue, little, to yellow, much: also apart for people who confuse red and green.
function warm(share) {
  const stops = [[59, 76, 140], [46, 132, 150], [96, 178, 120], [250, 206, 60]], at = share * 3, low = Math.min(2, Math.floor(at));
  return stops[low].map((value, index) => Math.round(value + (stops[low + 1][index] - value) * (at - low)));
}
