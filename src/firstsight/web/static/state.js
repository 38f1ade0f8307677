import { timeText } from "./dom.js";

// What the page shows now; its parts listen to each other here.
export const state = {
  library: null, // as /api/library gives it
  rows: new Map(), // by id
  anchors: [], // each with `result`, its moments, or `error`
  active: null, // id of the anchor whose moments are listed
  position: { row: null, seconds: 0 },
  jobs: [],
  view: "watch",
  selected: null, // times by row, chosen on the map
};

const listeners = new Map();

export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, new Set());
  listeners.get(event).add(listener);
}

export function emit(event, detail) {
  for (const listener of listeners.get(event) ?? []) listener(detail);
}

export function clear() {
  listeners.clear();
}

export function seek(row, seconds, by = "") {
  const found = state.rows.get(row);
  if (!found || !Number.isFinite(seconds)) return; // an axis that is not laid out yet names no time
  const last = found.end_seconds > 0 ? found.end_seconds : Infinity;
  state.position = { row, seconds: Math.max(0, Math.min(seconds, last)) };
  emit("position", by);
}

// A picture is a file of its row, which stands there at a time of no meaning: its name says where it is.
export const isPicture = (row) => state.rows.get(row)?.kind === "pictures";
export const fileName = (source) => source.slice(source.lastIndexOf("/") + 1);
export const placeText = ({ row, source, best_seconds: best, seconds = best }) => (isPicture(row) ? source : `${source} at ${timeText(seconds, true)}`);

export const activeAnchor = () => state.anchors.find((one) => one.id === state.active) ?? null;
