// The review queue: one thing after the other, large, answered by y, n or u; the server keeps every answer.
import { get, send } from "./api.js";
import { h, isPressed, renew, timeText } from "./dom.js";
import { emit, isPicture, on, placeText, seek, state } from "./state.js";

const KINDS = {
  new: { name: "New", asks: "Is this something new?", sides: ["the event", "before"] },
  copy: { name: "Copies", asks: "Is one a copy of the other?", sides: ["first", "second"] },
  near: { name: "Near misses", asks: "Does this show the anchor?", sides: ["the moment", "the anchor"] },
  scene: { name: "Scenes", asks: "Does a new scene begin here?", sides: ["before", "after"] },
};
const ANSWERS = { yes: ["Yes", "y"], no: ["No", "n"], unsure: ["Unsure", "u"] };
const LOOKED_FOR = { copy: "copies", new: "what is new", scene: "changes of scene" };

export class Review {
  constructor(parent, { pin, report, choose }) {
    Object.assign(this, { parent, pin, report, choose });
    this.only = null; // one kind
    this.skipped = new Set();
    this.asked = 0; // how often the server was, so that an old answer is known
    this.first = null; // what was taken back is shown again at once
    this.keys = {
      y: () => this.answer("yes"), n: () => this.answer("no"), u: () => this.answer("unsure"), z: () => this.undo(), Backspace: () => this.undo(),
      a: () => this.pinShown(), ArrowRight: () => this.skip(), s: () => this.skip(), Enter: () => this.open(0),
    };
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "What to review" });
    this.body = h("div", { class: "review-body", "aria-live": "polite" });
    parent.append(this.chips, this.body);
    on("view", (name) => (name === "review" ? this.load() : this.leave()));
    on("library", () => state.view === "review" && this.load());
    on("anchors", () => state.view === "review" && !this.isBusy && this.load());
    on("jobs", () => this.onJobs());
  }

  get shown() {
    const left = (this.found?.queue ?? []).filter((one) => !this.only || one.kind === this.only);
    return left.find((one) => one.id === this.first) ?? left.find((one) => !this.skipped.has(one.id)) ?? left[0] ?? null;
  }
  get job() { return state.jobs.find((one) => one.kind === "review"); }

  onJobs() {
    const key = this.job ? `${this.job.id} ${this.job.state} ${this.job.what}` : "";
    if (key === this.jobKey) return;
    this.jobKey = key;
    if (state.view === "review") this.load();
  }

  async load() {
    const asked = (this.asked += 1);
    try {
      const found = await get("/review");
      if (asked !== this.asked || this.isBusy) return; // of before a newer question, or before an answer
      this.found = found;
      this.show();
    } catch (error) {
      if (asked !== this.asked) return;
      this.body.replaceChildren(h("div", { class: "empty error", role: "alert" }, error.message));
    }
  }

  // Answers have changed what matches the anchors.
  leave() {
    if (!this.hasJudged) return;
    this.hasJudged = false;
    emit("judged");
  }

  async change(ask) {
    if (this.isBusy) return;
    this.isBusy = this.hasJudged = true;
    let isOld = false;
    try {
      await ask();
      this.report(null);
      const asked = (this.asked += 1); // what was asked before is old
      this.found = await get("/review");
      isOld = asked !== this.asked;
    } catch (error) {
      this.report(error);
      isOld = true;
    }
    this.isBusy = false;
    this.show();
    if (isOld) this.load();
  }

  answer(answer) {
    const one = this.shown;
    if (one) return this.change(async () => { await send(`/review/${one.id}`, { answer }); this.skipped.delete(one.id); this.first = null; });
  }

  undo() {
    if (this.found?.last) return this.change(async () => { this.only = null; this.first = (await send("/review/undo")).id; });
  }

  skip() {
    const one = this.shown;
    if (!one) return;
    this.first = null;
    this.skipped.add(one.id);
    if (this.skipped.has(this.shown.id)) this.skipped = new Set([one.id]); // round again
    this.show();
  }

  pinShown() {
    const [side] = this.shown?.sides ?? [];
    if (side) this.pin({ row: side.row, seconds: side.seconds, box: null });
  }

  open(number) {
    const side = this.shown?.sides[number];
    if (!side) return;
    this.choose("watch");
    seek(side.row, side.seconds);
  }

  show() {
    if ([this.chips, this.body].some((one) => isPressed(one, () => this.show()))) return;
    const { queue, num_answered: done, last } = this.found, one = this.shown, left = queue.length;
    const chip = (kind, name, num) => h("button", { class: "chip", "data-key": name, "aria-pressed": String(this.only === kind), disabled: Boolean(kind) && !num, onclick: () => { this.only = kind; this.show(); } }, name, h("small", {}, String(num)));
    renew(this.chips, chip(null, "All", left), ...Object.entries(KINDS).map(([kind, { name }]) => chip(kind, name, this.found.num_left[kind] ?? 0)),
      h("span", { class: "review-done" }, done ? `${done.toLocaleString("en")} answered` : ""),
      h("button", { disabled: !last, onclick: () => this.undo(), title: "Take back the latest answer (z)" }, "Undo", h("kbd", {}, "z")),
      ...(done ? [h("a", { class: "button", href: "/api/review/labels.csv", download: "labels.csv" }, "CSV")] : []));
    renew(this.body, ...(one ? this.question(one) : this.nothing(done)));
    this.body.dataset.shown = one?.id ?? "";
    for (const next of queue.filter((other) => other !== one).slice(0, 2)) for (const side of next.sides) new Image().src = address(side); // soon wanted
  }

  question(one) {
    const kind = KINDS[one.kind], sides = one.sides.map((side, number) => this.side(side, kind.sides[number], number));
    const anchor = state.anchors.find((other) => other.id === one.anchor);
    if (anchor) sides.push(h("figure", { class: "review-side" }, h("span", { class: "review-picture" }, shaped(h("img", { src: `/api/anchors/${anchor.id}/picture?most=1280`, alt: `The anchor ${anchor.name}` }))), h("figcaption", {}, h("b", {}, anchor.name), h("span", {}, "the anchor"))));
    if (one.kind === "new") sides.reverse(); // in order of time
    return [
      h("div", { class: "review-head" }, h("h2", {}, kind.asks), h("p", { class: "hint" }, one.detail)),
      h("div", { class: "review-sides" }, ...sides),
      h("div", { class: "review-answers" },
        ...Object.entries(ANSWERS).map(([answer, [text, key]]) => h("button", { class: `answer ${answer}`, onclick: () => this.answer(answer) }, text, h("kbd", {}, key))),
        h("button", { onclick: () => this.skip() }, "Later", h("kbd", {}, "→")),
        h("button", { onclick: () => this.pinShown() }, "Pin", h("kbd", {}, "a")),
        h("span", { class: "hint" }, one.kind === "copy" || one.kind === "near" ? "No is remembered: they stay apart in copies and searches." : "")),
    ];
  }

  side(side, words, number) {
    const picture = shaped(h("img", { src: address(side), alt: placeText(side) }));
    const span = isPicture(side.row) ? "" : side.end_seconds > side.start_seconds ? `${timeText(side.start_seconds, true)} to ${timeText(side.end_seconds, true)}` : timeText(side.seconds, true);
    picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "hint" }, "its file cannot be read any more")));
    return h("figure", { class: "review-side" },
      h("button", { class: "review-picture", title: "Open it in Watch", "aria-label": `Open ${placeText(side)}`, onclick: () => this.open(number) }, picture),
      h("figcaption", {}, h("b", {}, side.source), h("span", {}, [words, span].filter(Boolean).join(", "))));
  }

  nothing(done) {
    const isOn = this.job && ["waiting", "running"].includes(this.job.state);
    if (!state.library?.num_frames) return [h("div", { class: "empty" }, "There is something to review once the footage is indexed.")];
    if (isOn) return [h("div", { class: "empty", "aria-busy": "true" }, `Looking: ${this.job.what || "it starts"} …`)];
    const boxes = Object.entries(LOOKED_FOR).map(([kind, name]) => h("label", {}, h("input", { type: "checkbox", value: kind, checked: true }), name));
    const start = async () => {
      const kinds = [...this.body.querySelectorAll("input:checked")].map((box) => box.value);
      await this.change(() => send("/jobs/review", { kinds }));
    };
    return [h("div", { class: "empty" },
      h("h2", {}, done ? "All is answered" : "Nothing to review yet"),
      h("p", { class: "hint" }, "Look through the footage for what is worth a judgement. Near misses of your anchors appear here by themselves."),
      h("div", { class: "checks" }, ...boxes), h("button", { class: "primary", onclick: start }, "Look for it"),
      this.job?.state === "done" ? h("p", { class: "hint" }, `The last look found ${this.job.detail}.`) : null)];
  }
}

// Its frame takes the shape of the picture, so that no bars are beside it.
function shaped(picture) {
  picture.addEventListener("load", () => { picture.parentElement.style.aspectRatio = `${picture.naturalWidth} / ${picture.naturalHeight}`; });
  return picture;
}

const address = (side) => `/api/rows/${side.row}/frame?seconds=${side.seconds.toFixed(3)}&most=1280`;
