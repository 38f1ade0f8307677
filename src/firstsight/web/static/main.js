// The page: puts its parts together, keeps them up to date with the library, and hands them the keyboard.
import { AnchorPanel } from "./anchors.js";
import { get } from "./api.js";
import { Axis } from "./axis.js";
import { counted, h, press } from "./dom.js";
import { JobBar } from "./jobs.js";
import { Learn } from "./learn.js";
import { Live } from "./live.js";
import { FrameMap } from "./map.js";
import { Player } from "./player.js";
import { Review } from "./review.js";
import { clear, emit, seek, state } from "./state.js";

// The views, in order; those with the axis show moments in time.
const VIEWS = { watch: "Watch", map: "Map", review: "Review", live: "Live", learn: "Learn" };
const THEMES = { auto: "◐", light: "☀", dark: "☾" };

export function mount(root) {
  const parts = layout(root);
  const errors = new Map();
  const report = (error, kind = "last") => {
    if (error) errors.set(kind, error.message ?? String(error));
    else errors.delete(kind);
    parts.error.hidden = !errors.size;
    parts.errorText.textContent = [...errors.values()].join(" ");
  };
  parts.errorClose.addEventListener("click", () => report(null));
  const panel = new AnchorPanel(parts.side, { report });
  const pin = (frame) => { report(null); return panel.pin(frame); };
  const axis = new Axis(parts.axis);
  const player = new Player(parts.watch, { pin });
  new FrameMap(parts.map, { pin, report });
  const review = new Review(parts.review, { pin, report, choose: parts.choose });
  const learn = new Learn(parts.learn, { report }), live = new Live(parts.live, { report });
  let shown = "", pinned = "";
  const jobs = new JobBar(parts.head, {
    report,
    onState: async (now, anchors) => {
      if (now === shown && anchors !== pinned) await panel.load(); // another page, or another program, has changed them
      pinned = anchors;
      if (now === shown) return;
      state.library = await get("/library");
      shown = now;
      state.rows = new Map(state.library.rows.map((row) => [row.id, row]));
      parts.name.textContent = state.library.name;
      parts.counts.textContent = countsText(state.library);
      emit("library");
      root.dataset.ready = now;
    },
  });
  const stop = listen(root, { player, panel, report, views: { review, learn, live } });
  jobs.start();
  return () => { jobs.stop(); stop(); clear(); axis.tiles.clear(); };
}

// Each picture of a row is a source of its own; what is not indexed yet is one, too.
function countsText({ rows, num_sources: num, num_frames: frames }) {
  const unread = rows.reduce((sum, row) => sum + row.num_failed, 0), waiting = rows.filter((row) => !row.is_indexed && !row.error).length;
  return [counted(num + waiting, "source"), frames && counted(frames, "frame"), unread && `${unread.toLocaleString("en")} not readable`].filter(Boolean).join(" · ");
}

function layout(root) {
  const parts = {}, names = Object.keys(VIEWS);
  const tab = (name) => h("button", { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": "false", onclick: (event) => { choose(name); if (event.detail) event.currentTarget.blur(); } }, VIEWS[name]);
  const choose = parts.choose = (name) => {
    for (const one of names) {
      parts[one].hidden = one !== name;
      const tab = root.querySelector(`#tab-${one}`);
      tab.setAttribute("aria-selected", String(one === name));
      tab.tabIndex = one === name ? 0 : -1; // Tab goes to the view that is shown, arrows to the others
    }
    parts.work.dataset.view = state.view = name;
    sessionStorage.setItem("firstsight-view", name);
    emit("selection");
    emit("view", name);
  };
  const now = () => names.indexOf(state.view);
  const chooseAt = (index) => {
    const name = names.at(index % names.length);
    choose(name);
    root.querySelector(`#tab-${name}`).focus();
  };
  const tabKeys = { ArrowLeft: () => chooseAt(now() - 1), ArrowRight: () => chooseAt(now() + 1), Home: () => chooseAt(0), End: () => chooseAt(-1) };
  parts.name = h("h1", {}, "…");
  parts.counts = h("span", { class: "counts" });
  parts.theme = h("button", { class: "quiet", onclick: () => setTheme(nextTheme()) });
  parts.head = h("header", { class: "head" }, h("div", { class: "head-name" }, h("b", {}, "firstsight"), parts.name, parts.counts),
    h("div", { class: "tabs", role: "tablist", "aria-label": "Views", onkeydown: (event) => press(event, tabKeys) }, ...names.map(tab)), parts.theme);
  for (const name of names) parts[name] = h("div", { class: "panel", role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true });
  parts.side = h("aside", { class: "side", "aria-label": "Anchors and search" });
  parts.axis = h("section", { class: "axis", "aria-label": "Time" });
  parts.errorText = h("span");
  parts.errorClose = h("button", { class: "quiet", "aria-label": "Close" }, "×");
  parts.error = h("div", { class: "alert", role: "alert", hidden: true }, parts.errorText, parts.errorClose);
  parts.work = h("main", { class: "work" }, h("div", { class: "stage" }, ...names.map((name) => parts[name])), parts.side, parts.axis);
  root.replaceChildren(h("div", { class: "fs" }, parts.head, parts.error, parts.work));
  const order = Object.keys(THEMES);
  const stored = () => { const one = localStorage.getItem("firstsight-theme"); return order.includes(one) ? one : "auto"; };
  const nextTheme = () => order[(order.indexOf(stored()) + 1) % order.length];
  const setTheme = (theme) => {
    localStorage.setItem("firstsight-theme", theme);
    document.documentElement.dataset.theme = theme;
    parts.theme.textContent = THEMES[theme];
    parts.theme.title = `Colours: ${theme}`;
    parts.theme.setAttribute("aria-label", `Colours: ${theme}`);
    emit("theme");
  };
  setTheme(stored());
  const view = sessionStorage.getItem("firstsight-view");
  choose(view in VIEWS ? view : "watch");
  return parts;
}

function listen(root, { player, panel, report, views }) {
  const ends = new AbortController(), options = { signal: ends.signal };
  const keys = {
    a: () => player.pinNow(), " ": () => player.toggle(), ArrowLeft: (event) => (event.shiftKey ? jump(-1) : player.step(-1)),
    ArrowRight: (event) => (event.shiftKey ? jump(1) : player.step(1)), m: () => player.mark(), Escape: () => { player.box = null; player.compare.end(); player.paint(); },
  };
  const jump = (by) => seek(state.position.row, state.position.seconds + by);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input:not([type=checkbox], [type=range]), select, textarea") || (event.target.type === "range" && event.key.startsWith("Arrow")) || ([" ", "Enter"].includes(event.key) && event.target.matches?.("button, input, a, summary, [tabindex='-1']"));
    if (!isTyping) press(event, views[state.view]?.keys ?? keys);
  }, options);
  const take = (files) => {
    const file = [...(files ?? [])].find((one) => one.type.startsWith("image/")) ?? files?.[0];
    if (file) { report(null); panel.take(file); }
  };
  document.addEventListener("paste", (event) => take(event.clipboardData?.files), options);
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("dropping"); }, options);
  for (const type of ["dragleave", "drop"]) root.addEventListener(type, () => root.classList.remove("dropping"), options);
  root.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer?.files); }, options);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => emit("theme"), options);
  return () => ends.abort();
}
