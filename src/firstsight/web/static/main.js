// The page: puts its parts together, keeps them up to date with the library, and hands them the keyboard.
import { AnchorPanel } from "./anchors.js";
import { get } from "./api.js";
import { Axis } from "./axis.js";
import { counted, h } from "./dom.js";
import { JobBar } from "./jobs.js";
import { FrameMap } from "./map.js";
import { Player } from "./player.js";
import { clear, emit, seek, state } from "./state.js";

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
  new FrameMap(parts.map, { pin });
  let shown = "";
  const jobs = new JobBar(parts.head, {
    report,
    onState: async (now) => {
      if (now === shown) return;
      state.library = await get("/library");
      shown = now;
      state.rows = new Map(state.library.rows.map((row) => [row.id, row]));
      parts.name.textContent = state.library.name;
      parts.counts.textContent = state.library.num_frames ? `${counted(state.library.rows.length, "source")} · ${counted(state.library.num_frames, "frame")}` : counted(state.library.rows.length, "source");
      emit("library");
      root.dataset.ready = now;
    },
  });
  const stop = listen(root, { player, panel, report });
  jobs.start();
  return () => { jobs.stop(); stop(); clear(); axis.tiles.clear(); };
}

function layout(root) {
  const parts = {};
  const tab = (name, text, isOn) => h("button", { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": String(isOn), onclick: () => choose(name) }, text);
  const choose = (name) => {
    for (const one of ["watch", "map"]) {
      parts[one].hidden = one !== name;
      root.querySelector(`#tab-${one}`).setAttribute("aria-selected", String(one === name));
    }
    emit("selection");
  };
  parts.name = h("h1", {}, "…");
  parts.counts = h("span", { class: "counts" });
  parts.theme = h("button", { class: "quiet", onclick: () => setTheme(nextTheme()) });
  parts.head = h("header", { class: "head" }, h("div", { class: "head-name" }, h("b", {}, "firstsight"), parts.name, parts.counts),
    h("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, tab("watch", "Watch", true), tab("map", "Map", false)), parts.theme);
  parts.watch = h("div", { class: "panel", role: "tabpanel", id: "panel-watch", "aria-labelledby": "tab-watch" });
  parts.map = h("div", { class: "panel", role: "tabpanel", id: "panel-map", "aria-labelledby": "tab-map", hidden: true });
  parts.side = h("aside", { class: "side", "aria-label": "Anchors and search" });
  parts.axis = h("section", { class: "axis", "aria-label": "Time" });
  parts.errorText = h("span");
  parts.errorClose = h("button", { class: "quiet", "aria-label": "Close" }, "×");
  parts.error = h("div", { class: "alert", role: "alert", hidden: true }, parts.errorText, parts.errorClose);
  root.replaceChildren(h("div", { class: "fs" }, parts.head, parts.error, h("main", { class: "work" }, h("div", { class: "stage" }, parts.watch, parts.map), parts.side, parts.axis)));
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
  return parts;
}

function listen(root, { player, panel, report }) {
  const ends = new AbortController(), options = { signal: ends.signal };
  const keys = {
    a: () => player.pinNow(), " ": () => player.toggle(), ArrowLeft: (event) => (event.shiftKey ? jump(-1) : player.step(-1)),
    ArrowRight: (event) => (event.shiftKey ? jump(1) : player.step(1)), Escape: () => { player.box = null; player.paint(); },
  };
  const jump = (by) => seek(state.position.row, state.position.seconds + by);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input:not([type=checkbox]), select, textarea") || (event.key === " " && event.target.matches?.("button, input, a"));
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key](event);
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
