// The moments elsewhere that are most like the current frame; each can be opened, or laid over the current one.
import { get } from "./api.js";
import { h, isPressed, renew, timeText } from "./dom.js";
import { fileName, isPicture, placeText, seek, state } from "./state.js";

export class Elsewhere {
  constructor(parent, { compare }) {
    this.compare = compare;
    this.list = h("ul", { class: "elsewhere", "aria-label": "Most like this frame elsewhere" });
    parent.append(this.list);
  }

  // It keeps its place while it is wanted, so that nothing moves under the pointer.
  want(is) {
    this.list.hidden = !is;
  }

  async show({ row, seconds }) {
    const found = await get(`/rows/${row}/elsewhere?seconds=${seconds.toFixed(4)}`).catch(() => []); // not indexed yet
    this.fill({ row, seconds }, found);
  }

  fill({ row, seconds }, found) {
    if (isPressed(this.list, () => this.fill({ row, seconds }, found))) return;
    if (state.position.row !== row || state.position.seconds !== seconds) return;
    if (!found.length) return renew(this.list, h("li", { class: "hint" }, "nothing elsewhere yet"));
    renew(this.list, ...found.map((one) => this.moment(one, { row, seconds })));
  }

  moment(one, now) {
    const name = placeText(one);
    return h("li", {},
      h("button", { class: "elsewhere-open", title: `${name}; cosine of the embeddings ${one.similarity.toFixed(2)}`, "aria-label": `Open ${name}`, onclick: () => seek(one.row, one.seconds) },
        h("img", { src: `/api/rows/${one.row}/thumbnail?seconds=${one.seconds.toFixed(3)}`, alt: "" }), h("span", {}, isPicture(one.row) ? fileName(one.source) : `${timeText(one.seconds)} ${one.source}`)),
      h("button", { class: "elsewhere-compare", title: "Lay it over the current frame", "aria-label": `Compare with ${name}`, onclick: () => this.compare.show(now, one) }, "⇔"));
  }
}
