// Anchors at the side: pinned pictures, what matches each, and their moments by source.
import { get, remove, send } from "./api.js";
import { ANCHOR_COLOURS, counted, h, isPressed, renew, timeText } from "./dom.js";
import { activeAnchor, emit, fileName, isPicture, on, placeText, seek, state } from "./state.js";

const MAX_LISTED = 60;

export class AnchorPanel {
  constructor(parent, { report }) {
    this.report = report;
    this.file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Picture to search for", onchange: () => this.take(this.file.files[0]) });
    this.drop = h("button", { class: "drop", onclick: () => this.file.click() }, h("strong", {}, "Search by a picture"), h("span", {}, "drop, paste or choose one; or draw a box on the frame"));
    this.list = h("ul", { class: "anchors", "aria-label": "Anchors" });
    this.results = h("section", { class: "results", "aria-label": "Moments", "aria-live": "polite" });
    parent.append(this.drop, this.file, this.list, this.results);
    for (const event of ["library", "judged"]) on(event, () => this.refresh());
    on("anchors", () => this.show());
    on("selection", () => this.show());
    on("position", () => this.mark());
  }

  async load() {
    const found = await get("/anchors"), known = new Map(state.anchors.map((one) => [one.id, one]));
    state.anchors = found.map((one) => Object.assign(known.get(one.id) ?? {}, one)); // the same, as it may be compared just now
    for (const anchor of state.anchors) if (anchor.error) anchor.isOld = true;
    emit("anchors");
    this.compareAll();
  }

  // The library has changed, or what counts as a match: what was compared is compared again, and stays in sight meanwhile.
  async refresh() {
    for (const anchor of state.anchors) anchor.isOld = true;
    await this.load().catch((error) => this.report(error));
    this.compareAll();
  }

  // One after the other, as the server compares, so that pictures need not wait behind them; the active one first.
  async compareAll() {
    if (this.isComparing) return;
    this.isComparing = true;
    const isWanted = (one) => one?.isOld || (one && !one.result && !one.error);
    for (let next; (next = [activeAnchor(), ...state.anchors].find(isWanted)); ) await this.compare(next);
    this.isComparing = false;
  }

  async compare(anchor) {
    anchor.isOld = false;
    try {
      anchor.result = await get(`/anchors/${anchor.id}/moments`);
      if (!anchor.result) state.anchors = state.anchors.filter((one) => one !== anchor);
      anchor.error = null;
    } catch (error) {
      anchor.error = error.message;
    }
    emit("anchors");
  }

  async pin(frame) {
    await this.added(() => send("/anchors", frame));
  }

  async take(file) {
    this.file.value = "";
    if (file) await this.added(() => send(`/anchors/picture?name=${encodeURIComponent(file.name.slice(0, 200))}`, file));
  }

  async added(make) {
    this.drop.setAttribute("aria-busy", "true");
    try {
      const made = await make(), known = state.anchors.find((one) => one.id === made.id), anchor = known ?? made;
      if (!known) state.anchors.push(made); // or else the page has heard of it already
      state.active = anchor.id;
      emit("anchors");
      emit("selection");
      await this.compare(anchor);
    } catch (error) {
      this.report(error);
    } finally {
      this.drop.removeAttribute("aria-busy");
    }
  }

  async unpin(anchor) {
    try {
      await remove(`/anchors/${anchor.id}`);
      state.anchors = state.anchors.filter((one) => one !== anchor);
      if (state.active === anchor.id) state.active = null;
      emit("anchors");
      emit("selection");
    } catch (error) {
      this.report(error);
    }
  }

  async rename(anchor, input) {
    try {
      anchor.name = (await send(`/anchors/${anchor.id}`, { name: input.value }, "PATCH")).name;
    } catch (error) {
      this.report(error);
    }
    input.value = anchor.name;
    emit("selection");
  }

  activate(anchor) {
    state.active = state.active === anchor.id ? null : anchor.id;
    emit("selection");
  }

  show() {
    if (this.list.contains(document.activeElement) && document.activeElement.matches("input")) return;
    if ([this.list, this.results].some((one) => isPressed(one, () => this.show()))) return;
    this.list.hidden = !state.anchors.length;
    renew(this.list, ...state.anchors.map((anchor) => this.card(anchor)));
    renew(this.results, ...this.moments(activeAnchor()));
    this.mark();
  }

  card(anchor) {
    const isActive = anchor.id === state.active;
    const name = h("input", { value: anchor.name, "aria-label": "Name of the anchor", maxLength: 80, spellcheck: false, onchange: () => this.rename(anchor, name), onblur: () => setTimeout(() => this.show()), onkeydown: (event) => event.key === "Enter" && name.blur() });
    const picture = h("span", { class: "anchor-picture" }, h("img", { src: `/api/anchors/${anchor.id}/picture?most=320`, alt: "", onload: (event) => placeBox(event.target, anchor) }));
    return h("li", { class: isActive ? "active" : "", style: { "--own": ANCHOR_COLOURS[anchor.colour] } },
      h("button", { class: "anchor-show", "data-key": `show ${anchor.id}`, "aria-pressed": String(isActive), "aria-label": `Moments like ${anchor.name}`, onclick: () => this.activate(anchor) }, picture),
      h("div", { class: "anchor-text" }, name, h("span", { class: anchor.result?.is_match === false ? "verdict none" : "verdict" }, summary(anchor))),
      h("button", { class: "quiet", "data-key": `remove ${anchor.id}`, "aria-label": `Remove ${anchor.name}`, title: "Remove", onclick: () => this.unpin(anchor) }, "×"));
  }

  moments(anchor) {
    if (!anchor) {
      return [h("p", { class: "hint" }, state.anchors.length ? "Choose an anchor to list its moments." : "Pin a frame with a, or draw a box on it: every moment like it lights up on the time axis.")];
    }
    if (anchor.error) return [h("p", { class: "error", role: "alert" }, anchor.error)];
    const { result } = anchor;
    if (!result) return [h("p", { class: "hint", "aria-busy": "true" }, "comparing every frame …")];
    const rate = `${Math.round(100 * result.false_match_rate)} %`;
    const head = result.is_match
      ? [h("h2", {}, `${counted(result.num_matches, "moment")} like ${anchor.name}`), h("a", { class: "button", href: `/api/anchors/${anchor.id}/moments.csv`, download: "moments.csv" }, "CSV")]
      : [h("h2", {}, `No match for ${anchor.name}`)];
    const from = result.is_match ? `From similarity ${result.threshold.toFixed(2)} on` : `The nearest frames are less alike than ${result.threshold.toFixed(2)}`;
    const how = result.is_measured ? `; something absent reaches that in ${rate} of searches` : "";
    const listed = result.moments.slice(0, MAX_LISTED), isAll = !result.is_match || listed.length >= result.num_matches;
    const groups = new Map();
    for (const one of listed) {
      if (!groups.has(one.row)) groups.set(one.row, []);
      groups.get(one.row).push(one);
    }
    return [h("div", { class: "results-head" }, ...head), h("p", { class: "hint" }, [`${from}${how}.`, result.doubt, isAll ? "" : `Here are the best ${listed.length} of ${result.num_matches.toLocaleString("en")}; all are in the CSV.`].filter(Boolean).join(" ")),
      ...[...groups].map(([row, some]) => h("section", {},
        h("h3", {}, `${state.rows.get(row)?.name ?? some[0].source}`, h("small", {}, result.is_match ? counted(result.num_by_row[row] ?? some.length, "moment") : "nearest, no match")),
        h("div", { class: "moments" }, ...some.map((one) => moment(one)))))];
  }

  mark() {
    const { row, seconds } = state.position;
    for (const one of this.results.querySelectorAll(".moment")) {
      const isNow = one.dataset.row === row && Math.abs(Number(one.dataset.seconds) - seconds) < 1e-3;
      one.setAttribute("aria-current", String(isNow));
    }
  }
}

function summary(anchor) {
  if (anchor.error) return "cannot be compared";
  if (!anchor.result) return "comparing …";
  const { is_match: isMatch, num_matches: num } = anchor.result;
  return (isMatch ? `${counted(num, "moment")}` : "no match") + (anchor.box ? " · box" : "");
}

function moment(one) {
  const picture = h("img", { src: `/api/rows/${one.row}/thumbnail?seconds=${one.best_seconds.toFixed(3)}`, alt: "", loading: "lazy" });
  const chance = chanceText(one.false_match_probability);
  return h("button", {
    class: one.is_match ? "moment" : "moment below", "data-row": one.row, "data-seconds": one.best_seconds,
    title: `similarity ${one.similarity.toFixed(3)}` + (chance ? `; something absent is as similar in ${chance} of searches` : ""),
    "aria-label": `${placeText(one)}, similarity ${one.similarity.toFixed(2)}`,
    onclick: () => seek(one.row, one.best_seconds),
  }, h("span", { class: "moment-picture" }, picture), h("span", { class: "moment-text" }, h("b", {}, isPicture(one.row) ? fileName(one.source) : timeText(one.best_seconds, true)), h("span", {}, chance ? `by chance ${chance}` : "")), h("i", { style: { width: `${Math.max(2, 100 * one.similarity)}%` } }));
}

// How often something absent is as similar; nothing where it is not measured.
function chanceText(chance) {
  if (chance === null) return "";
  return chance >= 0.1 ? `${Math.round(100 * chance)} %` : `1 in ${Math.round(1 / chance).toLocaleString("en")}`;
}

// The box, over the anchor's picture.
function placeBox(image, { box, size }) {
  if (!box || image.parentElement.querySelector("i")) return;
  const shares = [box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]];
  const style = Object.fromEntries(["left", "top", "width", "height"].map((one, index) => [one, `${100 * shares[index]}%`]));
  image.parentElement.append(h("i", { style }));
}
