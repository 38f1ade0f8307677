// Long work: what runs, how far it is, and ways to stop it and to go on. Asked of the server, so a closed tab loses nothing.
import { get, send } from "./api.js";
import { h, isPressed, renew, timeText } from "./dom.js";
import { emit, state } from "./state.js";

const BUSY_MS = 700, IDLE_MS = 4000;

// Of what is over: what was not finished, or could not read everything, until it is dismissed.
const isToBeSeen = (job) => !job.is_dismissed && (job.state !== "done" || job.is_partial) && !isDoneSince(job);
const isDoneSince = ({ id, kind, title }) => state.jobs.some((one) => one.id > id && one.kind === kind && one.title === title && one.state === "done");

export class JobBar {
  constructor(parent, { onState, report }) {
    this.onState = onState;
    this.report = report;
    this.element = h("div", { class: "job", role: "status", hidden: true });
    parent.append(this.element);
  }

  start() {
    this.poll();
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  async poll() {
    clearTimeout(this.timer);
    let isBusy = true;
    try {
      const found = await get("/jobs");
      state.jobs = found.jobs;
      this.show();
      emit("jobs");
      await this.onState(found.state, found.anchors);
      this.report(null, "connection");
      isBusy = found.jobs.some((job) => job.state === "running" || job.state === "waiting");
    } catch (error) {
      this.report(error, "connection");
    }
    if (!this.isStopped) this.timer = setTimeout(() => this.poll(), isBusy ? BUSY_MS : IDLE_MS);
  }

  show() {
    if (isPressed(this.element, () => this.show())) return;
    const job = state.jobs.find((one) => one.state === "running") ?? state.jobs.find((one) => one.state === "waiting") ?? state.jobs.find(isToBeSeen);
    this.element.hidden = !job;
    if (!job) return;
    this.element.dataset.state = job.state;
    const isOn = job.state === "running" || job.state === "waiting";
    const share = job.total ? Math.min(1, job.done / job.total) : null;
    const words = { waiting: "waits", running: job.what || "starts", done: "done", failed: "failed", cancelled: "cancelled; what was finished is kept" };
    const detail = { failed: job.error, cancelled: "" }[job.state] ?? job.detail;
    const time = `${share === null || !isOn ? "" : ` ${Math.round(100 * share)} %`} · ${timeText(job.seconds)}`;
    const shown = JSON.stringify([job.id, job.title, job.state, words[job.state], isOn || detail, share === null]);
    if (shown === this.shown) { // a button keeps the focus, and nothing is read aloud, while only the time goes on
      this.time.textContent = time;
      this.detail.textContent = detail;
      if (isOn && share !== null) this.bar.value = share;
      return;
    }
    this.shown = shown;
    this.time = h("span", { "aria-live": "off" }, time);
    this.detail = h("span", { class: "job-detail", "aria-live": "off" }, detail);
    this.bar = isOn ? h("progress", share === null ? { "aria-label": job.title } : { value: share, max: 1, "aria-label": job.title }) : null;
    const button = (text, what, props = {}) => h("button", { "data-key": `${what} ${job.id}`, ...props, onclick: () => this.act(`/jobs/${job.id}/${what}`) }, text);
    const acts = isOn ? [button("Cancel", "cancel")]
      : [job.state !== "done" && button("Go on", "again"), button("×", "dismiss", { class: "quiet", "aria-label": `Dismiss ${job.title}`, title: "Dismiss" })];
    renew(this.element,
      h("div", { class: "job-text" }, h("b", {}, job.title), h("span", {}, words[job.state], this.time), this.detail),
      ...[this.bar, ...acts].filter(Boolean));
  }

  async act(path) {
    try {
      await send(path);
    } catch (error) {
      this.report(error);
    }
    this.poll();
  }
}
