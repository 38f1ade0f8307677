// Elements, times and colours. Names from footage only ever become text, never markup.
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "class") el.className = value;
    else if (key === "style") for (const [name, one] of Object.entries(value)) el.style.setProperty(name, one);
    else if (key in el && key !== "list") el[key] = value;
    else el.setAttribute(key, value === true ? "" : value);
  }
  el.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return el;
}

// A press and its release must meet the same button, or there is no click: what is pressed is shown anew afterwards.
const pressed = new WeakMap(); // by what shows it anew, as it was wanted last
export function isPressed(element, again) {
  if (!element.querySelector(":active")) return false; // a key makes a button active, and not what it stands in
  const waits = pressed.has(element);
  pressed.set(element, again);
  if (!waits) setTimeout(() => { const last = pressed.get(element); pressed.delete(element); last(); }, 50);
  return true;
}

// Shows children in place of others. To whoever uses keys, the control of the same key as the one that had the focus gets
// it; if there is none any more, what they stand in, so that a key pressed at this moment does nothing.
export function renew(parent, ...children) {
  const key = (one) => one.dataset.key ?? one.getAttribute("aria-label") ?? (one.textContent || one.value); // a box has a value alone
  const focused = parent.querySelector(":focus-visible"), scrolled = [...parent.querySelectorAll(".scrolled")].map((one) => one.scrollLeft);
  parent.replaceChildren(...children);
  parent.querySelectorAll(".scrolled").forEach((one, index) => { one.scrollLeft = scrolled[index] ?? 0; });
  if (!focused) return;
  const now = [...parent.querySelectorAll(focused.tagName)].find((one) => key(one) === key(focused) && !one.disabled) ?? parent;
  if (now === parent) parent.tabIndex = -1;
  now.focus({ preventScroll: true });
}

// Does what `keys` names for the key that was pressed; with Ctrl, Alt or Meta a key is the browser's.
export function press(event, keys) {
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  keys[event.key](event);
}

export function timeText(seconds, precise = false) {
  const digits = precise ? 2 : 0;
  const whole = precise ? Math.round(seconds * 100) / 100 : Math.round(seconds);
  const hours = Math.floor(whole / 3600), minutes = Math.floor((whole % 3600) / 60);
  const rest = (whole % 60).toFixed(digits).padStart(precise ? 5 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const counted = (num, one) => `${num.toLocaleString("en")} ${one}${num === 1 ? "" : "s"}`;

// Of anchors: eight that stay apart on light and dark, also for people who confuse red and green.
export const ANCHOR_COLOURS = ["#2f7de1", "#e0662f", "#0f9d75", "#c2408f", "#b58900", "#7a5cd6", "#d23b3b", "#3f98a8"];
// Of groups: neighbours in number far apart in hue.
export const groupColour = (number) => `hsl(${(number * 137.5) % 360} 58% ${number % 2 ? 46 : 60}%)`;

// A canvas of so many pixels of the page, cleared, at the screen's own density.
export function sharpContext(canvas, width, height) {
  const density = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  canvas.width = width * density;
  canvas.height = height * density;
  context.scale(density, density);
  return context;
}

export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
