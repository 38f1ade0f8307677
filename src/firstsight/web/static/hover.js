// A picture of the time under the pointer, from the library's own thumbnails: no video is opened.
import { h, timeText } from "./dom.js";

export class Hover {
  constructor(parent) {
    this.image = h("img", { alt: "" });
    this.text = h("div");
    this.bubble = h("div", { class: "hover-bubble", hidden: true, "aria-hidden": "true" }, this.image, this.text);
    parent.append(this.bubble);
    this.parent = parent;
  }

  show(row, seconds, event) {
    if (!row || event.pointerType === "touch") return this.hide();
    const box = this.parent.getBoundingClientRect(), x = event.clientX - box.left;
    this.bubble.hidden = false;
    this.bubble.style.left = `${Math.max(4, Math.min(x - 90, box.width - 190))}px`;
    this.bubble.style.bottom = `${box.bottom - event.clientY + 24}px`;
    this.text.textContent = timeText(seconds, true);
    this.image.hidden = !row.is_indexed;
    if (!row.is_indexed) return;
    this.wish = `/api/rows/${row.id}/thumbnail?seconds=${(Math.round(seconds * 4) / 4).toFixed(2)}`;
    this.load();
  }

  hide() {
    this.bubble.hidden = true;
    this.wish = null;
  }

  // One request at a time, always of the latest wish.
  async load() {
    if (this.isLoading || !this.wish || this.image.getAttribute("src") === this.wish) return;
    this.isLoading = true;
    this.image.src = this.wish;
    await this.image.decode().catch(() => {});
    this.isLoading = false;
    this.load();
  }
}
