// One axis of time for everything: a row a source, with strip, groups, and a curve an anchor.
import { ANCHOR_COLOURS, groupColour, h, press, timeText, token } from "./dom.js";
import { on, seek, state } from "./state.js";
import { BLOCK, loadImage, loadTrack, NUM_BINS, NUM_SLOTS, Tiles } from "./tiles.js";
import { Hover } from "./hover.js";
import { lanesByDay, lanesByRow } from "./lanes.js";

const RULER = 24, LABEL = 20, GROUPS = 5, CURVE = 22, BELOW = 8, SIDE = 10;
const MIN_SCALE = 1e-3; // seconds a pixel

export class Axis {
  constructor(parent) {
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.labels = h("div", { class: "axis-labels" });
    this.space = h("div");
    this.scroller = h(
      "div",
      { class: "axis-scroll", tabIndex: 0, role: "group", "aria-label": "Time axis. Arrows move, plus and minus zoom." },
      this.space, h("div", { class: "axis-fixed" }, this.canvas, this.labels),
    );
    this.hover = new Hover(parent);
    const zooms = h("div", { class: "axis-zooms" },
      h("button", { onclick: () => this.zoom(0.5), "aria-label": "Zoom in", title: "Zoom in (+)" }, "+"),
      h("button", { onclick: () => this.zoom(2), "aria-label": "Zoom out", title: "Zoom out (-)" }, "−"),
      h("button", { onclick: () => this.fit(), "aria-label": "Show all", title: "Show all (0)" }, "all"));
    this.days = h("button", { "aria-pressed": "false", hidden: true, title: "A row a day, by the time that names of files state", onclick: () => this.showDays(!this.isByDay) }, "days");
    zooms.prepend(this.days);
    this.lanes = [];
    parent.append(this.scroller, zooms);
    this.start = 0;
    this.scale = 1;
    this.width = this.height = 0; // until it is laid out; then nothing on it names a time
    this.tiles = new Tiles(() => this.draw());
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.scroller);
    on("library", () => this.onLibrary());
    on("judged", () => { this.tiles.clear(); this.draw(); });
    for (const event of ["anchors", "selection"]) on(event, () => this.draw());
    on("position", (by) => { if (by !== "axis") this.reveal(); this.draw(); });
    on("theme", () => this.draw());
  }

  get rows() { return state.library?.rows ?? []; }
  get stripHeight() { return this.width < 600 ? 40 : 46; }
  get rowHeight() { return LABEL + this.stripHeight + GROUPS + state.anchors.length * CURVE + BELOW; }
  get end() {
    if (this.endOf !== this.lanes) [this.endOf, this.latest] = [this.lanes, this.lanes.reduce((most, lane) => Math.max(most, lane.end), 1)];
    return this.latest;
  }
  x(seconds) { return SIDE + (seconds - this.start) / this.scale; }
  seconds(x) { return this.start + (x - SIDE) * this.scale; }
  top(index) { return RULER + index * this.rowHeight - this.scroller.scrollTop; }

  // The row, and the time in it, at a position; null where nothing is.
  hit(x, y) {
    if (y < RULER || y > this.height) return null;
    const lane = this.lanes[Math.floor((y - RULER + this.scroller.scrollTop) / this.rowHeight)], seconds = this.seconds(x);
    const part = lane?.parts.find(({ row, offset }) => seconds >= offset && seconds <= offset + Math.max(row.end_seconds, row.is_indexed ? 0 : this.end));
    return part ? { row: part.row, seconds: seconds - part.offset } : null;
  }

  // Where a time of a row is: the number of its lane, and the time in that.
  where(id, seconds) {
    for (const [number, lane] of this.lanes.entries())
      for (const { row, offset } of lane.parts) if (row.id === id && seconds + offset >= 0 && seconds + offset <= lane.end) return [number, seconds + offset];
    return [-1, 0];
  }

  showDays(is) {
    this.isByDay = is;
    this.days.setAttribute("aria-pressed", String(is));
    this.fitted = undefined;
    this.onLibrary();
  }

  onLibrary() {
    this.days.hidden = !this.rows.some((row) => row.starts_at !== null);
    this.lanes = this.isByDay ? lanesByDay(this.rows) : lanesByRow(this.rows);
    const isNew = this.fitted === undefined || this.end > this.fitted * 1.001;
    this.tiles.clear();
    this.makeRoom();
    if (isNew) this.fit();
    this.draw();
  }

  makeRoom() {
    this.space.style.height = `${RULER + this.lanes.length * this.rowHeight}px`;
  }

  fit() {
    this.fitted = this.end;
    this.start = 0;
    this.scale = this.end / Math.max(50, this.width - 2 * SIDE);
    this.draw();
  }

  zoom(factor, x = this.width / 2) {
    const at = this.seconds(x);
    const widest = (this.end * 1.1) / Math.max(50, this.width - 2 * SIDE);
    this.scale = Math.max(MIN_SCALE, Math.min(widest, this.scale * factor));
    this.start = at - (x - SIDE) * this.scale;
    this.pan(0);
  }

  pan(pixels) {
    const span = (this.width - 2 * SIDE) * this.scale;
    this.start = Math.max(0, Math.min(this.start + pixels * this.scale, Math.max(0, this.end - span)));
    this.draw();
  }

  reveal() {
    const [index, seconds] = this.where(state.position.row, state.position.seconds);
    if (index < 0) return;
    const x = this.x(seconds);
    if (x < 0 || x > this.width) this.start = Math.max(0, seconds - (this.width * this.scale) / 3);
    const top = index * this.rowHeight, shown = this.height - RULER;
    if (top < this.scroller.scrollTop || top + this.rowHeight > this.scroller.scrollTop + shown)
      this.scroller.scrollTop = Math.max(0, top - shown / 4);
  }

  resize() {
    const before = this.width;
    if (!this.scroller.clientWidth) return; // hidden
    this.width = this.scroller.clientWidth;
    this.height = this.scroller.clientHeight;
    const density = window.devicePixelRatio || 1;
    this.canvas.width = this.width * density;
    this.canvas.height = this.height * density;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    if (!before || this.scale >= (0.99 * this.end) / Math.max(50, before - 2 * SIDE)) this.fit();
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.width) return;
    const context = this.canvas.getContext("2d"), density = window.devicePixelRatio || 1;
    this.makeRoom();
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.colours = Object.fromEntries(["ground", "sunk", "line", "text", "muted", "accent"].map((one) => [one, token(`--${one}`)]));
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / this.rowHeight));
    const last = Math.min(this.lanes.length, first + Math.ceil(this.height / this.rowHeight) + 1);
    for (let number = first; number < last; number++)
      for (const { index, offset } of this.lanes[number].parts) {
        this.start -= offset; // times are those of the row while it is painted
        this.paintRow(context, index, this.top(number) + LABEL);
        this.start += offset;
      }
    if (!state.library) {
      context.fillStyle = this.colours.muted;
      context.font = "12px system-ui";
      context.fillText("loading …", SIDE, RULER + 24);
    }
    this.paintRuler(context);
    this.placeLabels(first, last);
    this.canvas.dataset.lanes = String(this.lanes.length);
    this.canvas.dataset.busy = String(this.tiles.numRunning + this.tiles.wishes.length);
    this.canvas.dataset.painted = String(1 + Number(this.canvas.dataset.painted ?? 0));
  }

  paintRow(context, index, top) {
    const row = this.rows[index], strip = this.stripHeight;
    const left = Math.max(0, this.x(0)), right = Math.min(this.width, this.x(row.end_seconds || this.end * 0.02));
    if (right <= left) return;
    context.fillStyle = this.colours.sunk;
    context.fillRect(left, top, right - left, strip);
    context.save();
    context.beginPath();
    // The words on a row whose length is not known yet go on beyond it.
    context.rect(left, top - 2, (row.end_seconds ? right : this.width) - left, this.rowHeight);
    context.clip();
    if (row.is_indexed) {
      this.paintStrip(context, row, top);
      this.paintTrack(context, index, "frames", (x, width, value) => {
        if (value) return;
        context.fillStyle = this.colours.ground;
        context.fillRect(x, top - 1, width, strip + GROUPS + 1);
      });
      if (state.library.groups) this.paintTrack(context, index, "groups", (x, width, value) => {
        if (!value) return;
        context.fillStyle = groupColour(value - 1);
        context.fillRect(x, top + strip, width + 0.5, GROUPS);
      });
      state.anchors.forEach((anchor, number) => this.paintCurve(context, index, anchor, top + strip + GROUPS + number * CURVE));
    } else {
      context.fillStyle = this.colours.muted;
      context.font = "12px system-ui";
      context.fillText(row.error || "not indexed yet; it can be played", left + 8, top + strip / 2 + 4);
    }
    context.restore();
    if (state.position.row === row.id) {
      const x = this.x(state.position.seconds);
      context.fillStyle = this.colours.accent;
      context.fillRect(x - 1, top - 4, 2, this.rowHeight - LABEL - 2);
      context.beginPath();
      context.moveTo(x - 6, top - 6); context.lineTo(x + 6, top - 6); context.lineTo(x, top + 2);
      context.fill();
    }
    let last = -1;
    context.fillStyle = this.colours.accent;
    for (const seconds of state.selected?.get(row.id) ?? []) {
      const x = Math.round(this.x(seconds));
      if (x === last || x < 0 || x > this.width) continue; // one mark a pixel
      context.fillRect(x - 1, top - 3, 3, 4);
      last = x;
    }
  }

  paintStrip(context, row, top) {
    const height = this.stripHeight, wide = height * row.aspect;
    const level = Math.max(-10, Math.min(30, Math.round(Math.log2(wide * this.scale))));
    const step = 2 ** level, pixels = step / this.scale, span = step * NUM_SLOTS;
    const last = Math.min(row.end_seconds, this.seconds(this.width));
    for (let number = Math.max(0, Math.floor(this.start / span)); number * span < last; number++) {
      const key = `${row.id}/${row.version}/${level}/${number}`;
      const image = this.tiles.get(key, () => loadImage(`/api/rows/${row.id}/strip/${level}/${number}?version=${row.version}`));
      if (!image) continue;
      const slot = image.width / NUM_SLOTS;
      for (let one = 0; one < NUM_SLOTS; one++) {
        const x = this.x(number * span + one * step);
        if (x > this.width || x + pixels < 0) continue;
        const share = Math.min(1, pixels / wide), tall = Math.min(1, wide / pixels);
        const sw = slot * share, sh = image.height * tall;
        context.drawImage(image, one * slot + (slot - sw) / 2, (image.height - sh) / 2, sw, sh, x, top, pixels + 0.5, height);
      }
    }
  }

  // Calls `each` with position, width and value of the bins of a track that are in sight.
  paintTrack(context, index, track, each) {
    const exact = Math.max(-10, Math.min(30, Math.ceil(Math.log2(this.scale))));
    const block = Math.floor(index / BLOCK), ids = this.rows.slice(block * BLOCK, (block + 1) * BLOCK).map((one) => one.id);
    const end = Math.min(this.rows[index].end_seconds, this.seconds(this.width));
    const span = 2 ** exact * NUM_BINS;
    for (let number = Math.max(0, Math.floor(this.start / span)); number * span < end; number++) {
      let found = this.tiles.get(`${track}/${exact}/${number}/${block}`, () => loadTrack(track, exact, number, ids));
      let level = exact, tile = number;
      while (!found && level < exact + 5) {
        level += 1;
        tile = Math.floor(tile / 2);
        found = this.tiles.peek(`${track}/${level}/${tile}/${block}`);
      }
      if (!found) continue;
      const step = 2 ** level, offset = (index % BLOCK) * NUM_BINS;
      const from = Math.max(0, Math.floor((Math.max(number * span, this.start) - tile * step * NUM_BINS) / step));
      const to = Math.min(NUM_BINS, Math.ceil((Math.min((number + 1) * span, end) - tile * step * NUM_BINS) / step));
      for (let bin = from; bin < to; bin++)
        each(this.x((tile * NUM_BINS + bin) * step), step / this.scale, found[offset + bin]);
    }
  }

  paintCurve(context, index, anchor, top) {
    const row = this.rows[index], result = anchor.result, colour = ANCHOR_COLOURS[anchor.colour];
    const left = Math.max(0, this.x(0)), width = Math.min(this.width, this.x(row.end_seconds)) - left;
    if (!result) return;
    const base = top + CURVE - 2, height = CURVE - 6;
    if (!result.is_match) {
      context.fillStyle = this.colours.sunk;
      context.fillRect(left, base - 9, width, 9);
      context.fillStyle = this.colours.muted;
      context.font = "10px system-ui";
      context.fillText("no match", left + 6, base - 1);
      return;
    }
    for (const moment of result.moments) {
      if (moment.row !== row.id) continue;
      context.globalAlpha = anchor.id === state.active ? 0.28 : 0.16;
      context.fillStyle = colour;
      const x = this.x(moment.start_seconds);
      context.fillRect(x, top + 2, Math.max(2, this.x(moment.end_seconds) - x), CURVE - 3);
      context.globalAlpha = 1;
    }
    const least = result.threshold * 255;
    this.paintTrack(context, index, anchor.id, (x, wide, value) => {
      if (!value) return;
      const tall = Math.max(1, ((value - 1) / 254) * height);
      context.globalAlpha = value >= least ? 1 : 0.35;
      context.fillStyle = colour;
      const from = Math.floor(x);
      context.fillRect(from, base - tall, Math.max(1, Math.floor(x + wide) - from), tall);
    });
    context.globalAlpha = 1;
    context.strokeStyle = this.colours.muted;
    context.setLineDash([3, 4]);
    context.lineWidth = 1;
    const y = Math.round(base - Math.max(0, Math.min(1, result.threshold)) * height) + 0.5;
    context.beginPath(); context.moveTo(left, y); context.lineTo(left + width, y); context.stroke();
    context.setLineDash([]);
  }

  paintRuler(context) {
    context.fillStyle = this.colours.ground;
    context.fillRect(0, 0, this.width, RULER);
    context.font = "11px system-ui";
    const steps = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 604800, 2592000];
    const step = steps.find((one) => one / this.scale > 70) ?? steps.at(-1);
    for (let tick = Math.ceil(this.start / step); tick * step <= this.seconds(this.width); tick++) {
      const x = this.x(tick * step);
      context.fillStyle = this.colours.line;
      context.fillRect(x, RULER - 5, 1, 5);
      context.fillStyle = this.colours.muted;
      context.fillText(timeText(tick * step, step < 1), Math.min(x + 4, this.width - 34), 15);
    }
    context.fillStyle = this.colours.line;
    context.fillRect(0, RULER - 1, this.width, 1);
  }

  placeLabels(first, last) {
    const shown = this.lanes.slice(first, last);
    const key = shown.map((lane) => lane.parts[0].row.id + lane.name).join("\n");
    if (key !== this.labelled) {
      this.labelled = key;
      this.labels.replaceChildren(...shown.map(({ name, parts: [{ row, offset }] }) => h("button", {
        class: "axis-label", title: row.error ? `${name}: ${row.error}` : name, onclick: () => seek(row.id, Math.max(0, -offset)),
      }, name)));
    }
    [...this.labels.children].forEach((label, number) => {
      const top = this.top(first + number) + 2;
      label.style.transform = `translateY(${top}px)`;
      label.style.visibility = top < RULER - 8 ? "hidden" : "";
      label.setAttribute("aria-current", shown[number].parts.some(({ row }) => row.id === state.position.row));
    });
  }

  listen() {
    const { scroller } = this;
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    scroller.addEventListener("scroll", () => this.draw());
    scroller.addEventListener("wheel", (event) => {
      if (event.shiftKey || event.altKey) return; // scrolls the rows
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX);
      else this.zoom(2 ** (Math.max(-200, Math.min(200, event.deltaY)) / 200), at(event)[0]);
    }, { passive: false });
    const pointers = new Map();
    let moved = 0;
    scroller.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button")) return;
      pointers.set(event.pointerId, at(event));
      moved = 0;
    });
    scroller.addEventListener("pointermove", (event) => {
      const [x, y] = at(event), before = pointers.get(event.pointerId);
      if (!before) {
        const found = this.hit(x, y);
        this.hover.show(found?.row ?? null, found?.seconds ?? 0, event);
        return;
      }
      this.hover.hide();
      const others = [...pointers.entries()].filter(([id]) => id !== event.pointerId);
      if (others.length) {
        const other = others[0][1][0], far = Math.abs(x - other), was = Math.abs(before[0] - other);
        if (far > 10 && was > 10) this.zoom(was / far, (x + other) / 2);
      } else {
        this.pan(before[0] - x);
        scroller.scrollTop += event.pointerType === "mouse" ? before[1] - y : 0;
      }
      moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      pointers.set(event.pointerId, [x, y]);
    });
    const up = (event) => {
      const was = pointers.delete(event.pointerId);
      if (event.type !== "pointerup" || !was || moved > 5) return;
      const found = this.hit(...at(event));
      if (found) seek(found.row.id, found.seconds, "axis");
    };
    for (const type of ["pointerup", "pointercancel", "pointerleave"]) scroller.addEventListener(type, up);
    scroller.addEventListener("pointerleave", () => this.hover.hide());
    const keys = { "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.fit(), ArrowLeft: () => this.pan(-80), ArrowRight: () => this.pan(80) };
    scroller.addEventListener("keydown", (event) => event.target === scroller && press(event, keys));
  }
}
