// Two moments over each other, with a line between that is dragged: what is left of it is before, right of it after.
import { h, timeText } from "./dom.js";
import { state } from "./state.js";

export class Compare {
  constructor(stage) {
    this.before = h("img", { alt: "" });
    this.after = h("img", { alt: "" });
    this.line = h("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "From before to after", oninput: () => this.place() });
    this.words = [h("span", { class: "compare-word" }), h("span", { class: "compare-word after" })];
    this.close = h("button", { class: "compare-close", onclick: () => this.end() }, "Close", h("kbd", {}, "Esc"));
    this.element = h("div", { class: "compare", role: "group", "aria-label": "Two moments compared", hidden: true }, this.before, this.after, h("i"), this.line, ...this.words, this.close);
    stage.append(this.element);
  }

  get isOpen() { return !this.element.hidden; }

  // Moments are rows with seconds; the first is shown as before.
  show(first, second) {
    [first, second].forEach((moment, number) => {
      const name = state.rows.get(moment.row)?.name ?? "", text = `${name} ${timeText(moment.seconds, true)}`;
      const image = number ? this.after : this.before;
      image.src = `/api/rows/${moment.row}/frame?seconds=${moment.seconds.toFixed(4)}`;
      image.alt = text;
      this.words[number].textContent = text;
    });
    this.element.hidden = false;
    this.line.value = 50;
    this.place();
    this.line.focus();
  }

  place() {
    this.element.style.setProperty("--at", `${this.line.value}%`);
  }

  end() {
    this.element.hidden = true;
    this.before.removeAttribute("src");
    this.after.removeAttribute("src");
  }
}
