// Learning: choose footage, start, watch the levels; the verdict beside what learns nothing; two models side by side.
import { get, remove, send } from "./api.js";
import { counted, h, isPressed, renew, sharpContext, timeText, token } from "./dom.js";
import { on, state } from "./state.js";

const METHODS = { default: "in closed form (seconds to minutes)", article: "the article's, level by level (long)", random: "random filters (a baseline)" };

export class Learn {
  constructor(parent, { report }) {
    Object.assign(this, { report, models: [], levels: new Map(), opened: new Map(), shown: null });
    this.keys = {};
    this.form = h("form", { class: "learn-form", "aria-label": "A new model", onsubmit: (event) => { event.preventDefault(); this.begin(); } });
    this.list = h("ul", { class: "models", "aria-label": "Models" });
    this.side = h("div", { class: "learn-side" }, this.form, this.list);
    this.body = h("div", { class: "learn-body" });
    parent.append(h("div", { class: "learn" }, this.side, this.body));
    on("view", (name) => name === "learn" && this.load());
    on("library", () => this.showForm());
    on("jobs", () => state.view === "learn" && this.onJobs());
    on("theme", () => this.show());
    new ResizeObserver(() => this.body.querySelectorAll("canvas").forEach((one) => one.paint?.())).observe(this.body);
  }

  onJobs() {
    const key = JSON.stringify(state.jobs.filter((one) => one.kind === "learn").map((one) => [one.id, one.state, one.what, Math.round(one.seconds)]));
    if (key !== this.jobKey) { this.jobKey = key; this.load(); }
  }

  async load() {
    try {
      this.models = await get("/models");
      for (const model of this.models) if (model.has_levels && !this.levels.has(model.name)) this.levels.set(model.name, await get(`/models/${model.name}/levels`));
    } catch (error) {
      this.report(error);
    }
    const names = this.models.map((one) => one.name);
    const name = this.form.querySelector("[name=name]");
    if (name && names.includes(name.value)) name.value = freeName(names);
    this.shown = (this.shown ?? names.slice(-2)).filter((name) => names.includes(name));
    this.show();
  }

  showForm() {
    const rows = (state.library?.rows ?? []).filter((row) => !row.error), key = JSON.stringify(rows.map((row) => [row.id, row.name]));
    if (key === this.keys.form) return;
    this.keys.form = key;
    // By name: a row has another id once it is indexed.
    const chosen = new Set([...this.form.querySelectorAll("[name=row]:checked")].map((one) => one.dataset.name)), isFirst = !this.form.children.length;
    const [name, method] = ["name", "method"].map((one) => this.form.querySelector(`[name=${one}]`)?.value);
    const focused = this.form.contains(document.activeElement) ? document.activeElement : null;
    this.form.replaceChildren(
      h("h2", {}, "Learn a model"),
      h("fieldset", {}, h("legend", {}, "from"), h("div", { class: "learn-rows" }, ...rows.map((row, number) => h("label", {}, h("input", { type: "checkbox", name: "row", value: row.id, "data-name": row.name, checked: isFirst ? number === 0 : chosen.has(row.name) }), row.name)))),
      h("label", { class: "field" }, "how", h("select", { name: "method" }, ...Object.entries(METHODS).map(([value, text]) => h("option", { value, selected: value === method }, text)))),
      h("label", { class: "field" }, "name", h("input", { name: "name", value: name || "model-1", maxLength: 40, pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]*", required: true, spellcheck: false })),
      h("button", { class: "primary", type: "submit", disabled: !rows.length }, "Learn"));
    if (focused) [...this.form.elements].find((one) => one.name === focused.name && one.dataset.name === focused.dataset.name)?.focus();
  }

  async begin() {
    const rows = [...this.form.querySelectorAll("[name=row]:checked")].map((one) => one.value);
    const [name, method] = ["name", "method"].map((one) => this.form.querySelector(`[name=${one}]`).value);
    if (!rows.length) return this.report(new Error("Choose at least one source to learn from."));
    await this.act(() => send("/models", { rows, name, method }));
    if (this.models.some((one) => one.name === name)) {
      this.shown = [...this.shown.filter((one) => one !== name), name].slice(-2);
      this.show();
    }
  }

  async act(ask) {
    try {
      await ask();
      this.report(null);
    } catch (error) {
      this.report(error);
    }
    await this.load();
  }

  toggle(name) {
    this.shown = this.shown.includes(name) ? this.shown.filter((one) => one !== name) : [...this.shown, name].slice(-2);
    this.show();
  }

  show() {
    if ([this.list, this.body].some((one) => isPressed(one, () => this.show()))) return;
    renew(this.list, ...this.models.map((model) => h("li", {},
      h("label", {}, h("input", { type: "checkbox", "data-key": model.name, checked: this.shown.includes(model.name), onchange: () => this.toggle(model.name) }), h("span", {}, h("b", {}, model.name), h("small", {}, words(model)))),
      h("button", { class: "quiet", "aria-label": `Remove ${model.name}`, title: "Remove", onclick: () => this.act(() => remove(`/models/${model.name}`)) }, "×"))));
    const some = this.models.filter((one) => this.shown.includes(one.name));
    renew(this.body, ...(some.length ? some.map((model) => this.column(model))
      : this.models.length ? [h("div", { class: "empty" }, h("p", {}, "Tick a model to show it; two are shown side by side."))]
      : [h("div", { class: "empty" }, h("h2", {}, "No model yet"), h("p", { class: "hint" }, "Choose footage and learn: its levels, its health, and a verdict beside methods that learn nothing appear here. Two can be shown side by side."))]));
    this.body.querySelectorAll("canvas").forEach((one) => one.paint());
  }

  column(model) {
    const job = model.job, isOn = job && ["waiting", "running"].includes(job.state);
    const share = job?.total ? Math.min(1, job.done / job.total) : null;
    const act = isOn ? h("button", { "data-key": `stop ${model.name}`, onclick: () => this.act(() => send(`/jobs/${job.id}/cancel`)) }, "Stop")
      : !model.verdict && h("button", { "data-key": `resume ${model.name}`, onclick: () => this.act(() => send(`/models/${model.name}/resume`)) }, model.can_be_resumed || model.is_learned ? "Resume" : "Start again");
    return h("section", { class: "model", "aria-label": model.name },
      h("div", { class: "model-head" }, h("h2", {}, model.name), h("span", { class: "hint" }, words(model)), act || null),
      isOn ? h("div", { class: "model-progress" }, h("progress", share === null ? { "aria-label": "Progress" } : { value: share, max: 1, "aria-label": "Progress" }), h("span", {}, [job.what, job.detail].filter(Boolean).join(" · ") || "waits")) : null,
      job?.state === "failed" ? h("p", { class: "error", role: "alert" }, job.error) : null,
      ...this.verdict(model), ...this.curve(model), ...this.health(model), ...this.pictures(model),
      h("p", { class: "hint" }, `from ${model.sources.join(", ")}; kept in `, h("code", {}, model.folder)));
  }

  verdict({ verdict }) {
    if (!verdict) return [];
    if (verdict.error) return [h("p", { class: "hint" }, `No verdict: ${verdict.error}`)];
    const columns = Object.keys(Object.values(verdict.scores)[0] ?? {}).filter((one) => one !== "standard_error");
    const first = columns[0], best = Math.max(...Object.values(verdict.scores).map((one) => one[first] ?? 0));
    return [h("h3", {}, "What it is good for"),
      h("ul", { class: "verdicts" }, ...verdict.verdicts.map((line) => { const [use, ...rest] = line.split(": "); return h("li", {}, h("b", {}, use), " ", rest.join(": ")); })),
      table(h("caption", {}, verdict.asks), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "method"), ...columns.map((one) => h("th", { scope: "col" }, one)))),
        h("tbody", {}, ...Object.entries(verdict.scores).map(([name, figures]) => h("tr", { class: figures[first] === best ? "best" : "" }, h("th", { scope: "row" }, name), ...columns.map((one) => h("td", {}, percent(figures[one])))))))];
  }

  // The article's method: the largest similarity of two maps, until it is below the threshold of its level.
  curve(model) {
    if (!model.checks.length) return [];
    const canvas = h("canvas", { class: "model-curve", role: "img", "aria-label": `Largest similarity of two maps at each check, level by level; the last is ${model.checks.at(-1)[2].toFixed(3)}` });
    canvas.paint = () => paintCurve(canvas, model);
    return [h("h3", {}, "Levels against their threshold"), canvas];
  }

  health({ health, embedding, warnings }) {
    const rows = health.map((one) => h("tr", {}, h("th", { scope: "row" }, String(one.level)), h("td", {}, one.mean_max_similarity.toFixed(2)), h("td", {}, one.mean_similarity.toFixed(2)), h("td", {}, String(one.num_dead_maps))));
    const lines = warnings.map((one) => h("p", { class: "error" }, one));
    if (embedding) lines.push(h("p", { class: "hint" }, `embedding: ${embedding.effective_rank.toFixed(0)} directions in use, spread ${embedding.spread.toFixed(2)}`));
    if (!rows.length) return lines;
    return [h("h3", {}, "Health"), ...lines, table(h("thead", {}, h("tr", {}, ...["level", "most similar maps", "maps on average", "dead maps"].map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, ...rows))];
  }

  pictures(model) {
    const levels = this.levels.get(model.name) ?? [];
    return levels.map((one) => {
      const key = `${model.name} ${one.level}`, toggle = ({ currentTarget: { parentElement: details } }) => this.opened.set(key, !details.open);
      return h("details", { open: this.opened.get(key) ?? one.level === 1 }, h("summary", { "data-key": key, onclick: toggle }, `Level ${one.level}: ${one.shape}`),
        h("div", { class: "model-pictures" }, h("figure", {}, h("img", { src: one.filters, alt: `Filters of level ${one.level}` }), h("figcaption", {}, "filters")), h("figure", {}, h("img", { src: one.maps, alt: `Maps of level ${one.level} on a frame` }), h("figcaption", {}, "maps of a frame"))));
    });
  }
}

const table = (...parts) => h("div", { class: "scrolled" }, h("table", {}, ...parts)); // sideways, where it is too wide

function freeName(names) {
  let number = 1;
  while (names.includes(`model-${number}`)) number += 1;
  return `model-${number}`;
}

const percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`);

function words({ job, is_learned: isLearned, num_frames: num, seconds, method, can_be_resumed: canGoOn }) {
  if (job?.state === "waiting") return "waits";
  if (job?.state === "running") return `${isLearned ? "is judged" : "learns"}, ${timeText(job.seconds)}`;
  if (job?.state === "failed") return "failed";
  if (isLearned) return `${method}, ${counted(num ?? 0, "frame")}${seconds ? ` in ${timeText(seconds)}` : ""}`;
  return canGoOn ? "stopped; can be resumed" : "stopped";
}

function paintCurve(canvas, { checks, thresholds }) {
  const width = canvas.clientWidth, height = canvas.clientHeight, context = sharpContext(canvas, width, height);
  const left = 34, low = height - 18, right = width - 6, step = (right - left) / Math.max(1, checks.length - 1);
  const y = (value) => low - (low - 8) * Math.max(0, Math.min(1, value));
  context.font = "11px system-ui";
  context.fillStyle = token("--muted");
  context.strokeStyle = token("--line");
  for (const value of [0, 0.5, 1]) {
    context.fillText(value.toFixed(1), 6, y(value) + 4);
    context.beginPath(); context.moveTo(left, y(value)); context.lineTo(right, y(value)); context.stroke();
  }
  context.strokeStyle = token("--accent");
  context.lineWidth = 2;
  context.beginPath();
  checks.forEach(([, , mean], index) => context.lineTo(left + index * step, y(mean)));
  context.stroke();
  context.setLineDash([4, 4]);
  context.lineWidth = 1.5;
  context.strokeStyle = token("--bad");
  for (const level of new Set(checks.map(([one]) => one))) {
    const own = checks.map(([one], index) => (one === level ? index : -1)).filter((index) => index >= 0), from = left + own[0] * step, to = left + own.at(-1) * step;
    if (thresholds[level - 1] !== undefined) { context.beginPath(); context.moveTo(from, y(thresholds[level - 1])); context.lineTo(Math.max(to, from + 2), y(thresholds[level - 1])); context.stroke(); }
    context.fillText(`level ${level}`, Math.min(from, right - 40), height - 4);
  }
}
