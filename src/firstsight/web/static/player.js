// One frame, large: plays what the browser can decode, shows frames read by the server where it cannot.
import { ApiError, get, getAnswer } from "./api.js";
import { h, sharpContext, timeText } from "./dom.js";
import { activeAnchor, emit, on, seek, state } from "./state.js";
import { drawAgreement } from "./agreement.js";
import { Compare } from "./compare.js";
import { Elsewhere } from "./elsewhere.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const USUAL_STEP = 1 / 25;
const SETTLED_MS = 250;

export class Player {
  constructor(parent, { pin }) {
    this.pin = pin;
    this.video = h("video", { muted: true, playsInline: true, preload: "auto", "aria-label": "Footage" });
    this.image = h("img", { alt: "", hidden: true });
    this.overlay = h("canvas", { class: "player-overlay", "aria-label": "Draw a box to search for what is in it" });
    this.note = h("div", { class: "player-note", role: "status" });
    this.stage = h("div", { class: "player-stage" }, this.video, this.image, this.overlay, this.note);
    const button = (label, text, onclick) => h("button", { "aria-label": label, title: label, onclick }, text);
    this.playButton = button("Play (space)", "▶", () => this.toggle());
    this.speed = h("select", { "aria-label": "Speed", onchange: () => { this.video.playbackRate = Number(this.speed.value); } },
      ...SPEEDS.map((one) => h("option", { value: one, selected: one === 1 }, `${one}×`)));
    this.time = h("span", { class: "player-time" });
    this.title = h("span", { class: "player-title" });
    this.pinButton = h("button", { class: "primary", title: "Pin this frame, or the box, as an anchor (a)", onclick: () => this.pinNow() }, "Pin (a)");
    this.agree = h("input", { type: "checkbox", onchange: () => this.settle() });
    this.agreeLabel = h("label", { class: "player-agree" }, this.agree, h("span", {}, "where it agrees"));
    this.controls = h("div", { class: "player-controls" },
      button("Frame back (left arrow)", "◂", () => this.step(-1)), this.playButton,
      button("Frame forward (right arrow)", "▸", () => this.step(1)), this.speed, this.time, this.title,
      this.agreeLabel, this.pinButton);
    this.near = h("input", { type: "checkbox", checked: true, onchange: () => this.settle() });
    this.pinButton.before(h("label", { class: "player-agree" }, this.near, h("span", {}, "like it elsewhere")));
    this.markButton = h("button", { title: "Mark this frame as the first of two to compare (m)", onclick: () => this.mark() }, "Compare (m)");
    this.pinButton.before(this.markButton);
    parent.append(this.stage, this.controls);
    this.compare = new Compare(this.stage);
    this.elsewhere = new Elsewhere(parent, { compare: this.compare });
    this.box = null;
    this.frameStep = USUAL_STEP;
    this.listen();
    on("position", (by) => by !== "player" && this.show());
    on("selection", () => this.settle());
    on("library", () => { if (!state.rows.has(this.row?.id)) this.showFirst(); });
    new ResizeObserver(() => this.paint()).observe(this.stage);
  }

  get isPlaying() { return this.isFallback ? Boolean(this.timer) : !this.video.paused && !this.video.ended; }
  get picture() { return this.isFallback ? this.image : this.video; }
  get size() {
    return this.isFallback ? [this.image.naturalWidth, this.image.naturalHeight] : [this.video.videoWidth, this.video.videoHeight];
  }

  showFirst() {
    const same = state.library.rows.find((row) => row.name === this.row?.name) ?? state.library.rows.find((row) => !row.error) ?? state.library.rows[0];
    if (!same) return;
    const usual = this.row ? null : state.library.groups?.find((group) => group.row);
    if (usual) seek(usual.row, usual.seconds);
    else seek(same.id, this.row ? state.position.seconds : 0);
  }

  async show() {
    const { row: id, seconds } = state.position, row = state.rows.get(id);
    if (!row) return;
    this.box = null;
    this.compare.end();
    if (this.row?.id !== id) {
      this.pause();
      const isSameFile = this.row && this.row.name === row.name && !this.isFallback;
      this.row = row;
      this.title.textContent = row.name;
      this.note.textContent = row.error;
      this.stage.dataset.ready = "";
      this.useFallback(row.kind === "pictures" || Boolean(row.error));
      if (row.error) this.image.removeAttribute("src");
      if (!this.isFallback && !isSameFile) this.video.src = `/api/rows/${id}/video`;
      if (!row.error) this.findStep(row);
    }
    if (!row.error) await this.load(seconds);
    this.tick();
    this.settle();
  }

  async load(seconds) {
    if (this.isFallback) await this.loadFrame(seconds);
    else if (Math.abs(this.video.currentTime - seconds) > 1e-4) this.video.currentTime = seconds;
    else if (this.video.readyState >= 2) this.ready(); // it is there already: the same file, as a row of another name
  }

  useFallback(is) {
    this.isFallback = is;
    this.video.hidden = is;
    this.image.hidden = !is;
    if (is) { this.video.removeAttribute("src"); this.video.load(); }
  }

  async findStep(row) {
    this.frameStep = row.kind === "pictures" ? 1 : USUAL_STEP;
    if (row.kind === "pictures") return;
    try {
      const answer = await getAnswer(`/rows/${row.id}/frame?seconds=0&most=16`);
      const step = Number(answer.headers.get("x-frame-duration"));
      if (this.row === row && step > 0) this.frameStep = step;
    } catch (error) {
      if (this.row === row && this.isFallback) this.fail(error);
    }
  }

  async loadFrame(seconds) {
    const wish = `/api/rows/${this.row.id}/frame?seconds=${seconds.toFixed(4)}`;
    if (this.image.getAttribute("src") === wish) return;
    this.image.src = wish;
    try {
      await this.image.decode();
      this.ready();
    } catch {
      if (this.image.getAttribute("src") === wish) await this.explain(wish);
    }
  }

  async explain(wish) {
    try {
      await getAnswer(wish.replace("/api", ""));
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    this.note.textContent = error instanceof ApiError ? error.message : "This cannot be shown.";
    this.pause();
  }

  ready() {
    this.stage.dataset.ready = this.row?.id ?? "";
    this.note.textContent = "";
    this.paint();
  }

  toggle() { if (this.isPlaying) this.pause(); else this.play(); }

  play() {
    if (!this.row || this.row.error) return;
    this.box = null;
    if (this.isFallback) {
      const every = Math.max(150, (this.frameStep * 1000) / Number(this.speed.value));
      this.timer = setInterval(() => this.image.complete && this.step(1, true), every);
    } else {
      this.video.playbackRate = Number(this.speed.value);
      this.video.play().catch(() => {});
    }
    this.tick();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.video.pause();
    this.tick();
  }

  // To the middle of the next frame or the one before, so that rounding never shows the same one.
  step(by, goOn = false) {
    if (!this.row) return;
    if (!goOn) this.pause();
    const number = Math.floor(state.position.seconds / this.frameStep + 1e-6) + by;
    seek(this.row.id, (number + (this.row.kind === "pictures" ? 0 : 0.5)) * this.frameStep);
  }

  tick() {
    this.playButton.textContent = this.isPlaying ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-pressed", String(this.isPlaying));
    this.time.textContent = timeText(state.position.seconds, true);
  }

  follow() {
    if (this.row && this.isPlaying) {
      state.position = { row: this.row.id, seconds: this.video.currentTime };
      emit("position", "player");
      this.tick();
      requestAnimationFrame(() => this.follow());
    }
  }

  pinNow() {
    if (!this.row) return;
    this.pause();
    this.pin({ row: this.row.id, seconds: state.position.seconds, box: this.box });
    this.box = null;
    this.paint();
  }

  // The first of two moments; the second time, the two are laid over each other.
  mark() {
    if (!this.row) return;
    this.pause();
    const now = { ...state.position };
    if (this.marked && (this.marked.row !== now.row || this.marked.seconds !== now.seconds)) {
      this.compare.show(this.marked, now);
      this.marked = null;
    } else this.marked = this.marked ? null : now;
    this.markButton.textContent = this.marked ? `with ${timeText(this.marked.seconds, true)} (m)` : "Compare (m)";
    this.markButton.setAttribute("aria-pressed", String(Boolean(this.marked)));
  }

  // Once the frame stays, asks for what is like it elsewhere, and where it agrees with the active anchor.
  settle() {
    const anchor = activeAnchor();
    this.agreeLabel.hidden = !anchor;
    this.agreement = null;
    this.agreeLabel.lastChild.textContent = anchor ? `where it agrees with ${anchor.name}` : "";
    clearTimeout(this.settling);
    this.paint();
    this.elsewhere.want(this.near.checked && this.row?.is_indexed !== false);
    if (this.isPlaying || !this.row) return;
    const { row, seconds } = state.position;
    this.settling = setTimeout(async () => {
      if (this.near.checked && this.row.is_indexed) await this.elsewhere.show({ row, seconds });
      if (!anchor || !this.agree.checked) return;
      try {
        const found = await get(`/agreement?row=${row}&seconds=${seconds.toFixed(4)}&anchor=${anchor.id}`);
        if (!found || state.position.row !== row || state.position.seconds !== seconds || activeAnchor() !== anchor) return;
        this.agreement = found;
        this.agreeLabel.lastChild.textContent = `${found.in_words} with ${anchor.name}`;
        this.paint();
      } catch (error) {
        this.agreeLabel.lastChild.textContent = error.message;
      }
    }, SETTLED_MS);
  }

  // Where the picture lies in the stage: it is shown entire.
  placed() {
    const [width, height] = this.size, across = this.stage.clientWidth, down = this.stage.clientHeight;
    if (!width || !height || !across || !down) return null;
    const scale = Math.min(across / width, down / height);
    return { x: (across - width * scale) / 2, y: (down - height * scale) / 2, width: width * scale, height: height * scale };
  }

  paint() {
    const { overlay, stage } = this, at = this.placed();
    const context = sharpContext(overlay, stage.clientWidth, stage.clientHeight);
    if (!at) return;
    if (this.agreement) drawAgreement(context, at, this.agreement.first);
    const found = this.box ? null : this.foundBox();
    const [box, isFound] = [this.box ?? found, Boolean(found)];
    this.pinButton.textContent = this.box ? "Search box (a)" : "Pin (a)";
    if (!box) return;
    const [x, y, width, height] = [at.x + box[0] * at.width, at.y + box[1] * at.height, box[2] * at.width, box[3] * at.height];
    if (!isFound) {
      context.fillStyle = "rgb(0 0 0 / 0.45)";
      context.beginPath();
      context.rect(at.x, at.y, at.width, at.height);
      context.rect(x, y, width, height);
      context.fill("evenodd");
    }
    context.lineWidth = 2.5;
    context.strokeStyle = isFound ? "#ffd23f" : "#fff";
    context.strokeRect(x, y, width, height);
  }

  // Where the active anchor's box was found in this very frame.
  foundBox() {
    const moments = activeAnchor()?.result?.moments ?? [], { row, seconds } = state.position;
    return moments.find((one) => one.box && one.row === row && Math.abs(one.best_seconds - seconds) < 1e-3)?.box ?? null;
  }

  listen() {
    const { video, overlay } = this;
    video.addEventListener("loadeddata", () => this.ready());
    video.addEventListener("seeked", () => this.ready());
    video.addEventListener("play", () => { this.tick(); this.follow(); });
    for (const type of ["pause", "ended"]) video.addEventListener(type, () => { this.tick(); this.settle(); });
    video.addEventListener("error", () => {
      if (!this.row || this.isFallback || !video.getAttribute("src")) return;
      this.useFallback(true);
      this.loadFrame(state.position.seconds);
    });
    let begin = null;
    const share = (event) => {
      const at = this.placed(), box = overlay.getBoundingClientRect();
      const limit = (value) => Math.max(0, Math.min(1, value));
      return at && [limit((event.clientX - box.left - at.x) / at.width), limit((event.clientY - box.top - at.y) / at.height)];
    };
    overlay.addEventListener("pointerdown", (event) => {
      begin = share(event);
      overlay.setPointerCapture(event.pointerId);
    });
    overlay.addEventListener("pointermove", (event) => {
      if (!begin) return;
      const now = share(event);
      if (!now || (Math.abs(now[0] - begin[0]) < 0.02 && Math.abs(now[1] - begin[1]) < 0.02)) return;
      if (this.isPlaying) this.pause();
      this.box = [Math.min(begin[0], now[0]), Math.min(begin[1], now[1]), Math.abs(now[0] - begin[0]), Math.abs(now[1] - begin[1])];
      this.paint();
    });
    overlay.addEventListener("pointerup", (event) => {
      const now = share(event), isClick = begin && now && Math.abs(now[0] - begin[0]) < 0.02 && Math.abs(now[1] - begin[1]) < 0.02;
      begin = null;
      if (!isClick) return;
      if (this.box) { this.box = null; this.paint(); } else this.toggle();
    });
  }
}
