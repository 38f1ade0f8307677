// Tiles of the axis: strips of thumbnails, and bytes of tracks; asked once, few at a time, the newest wish first.
import { getBytes } from "./api.js";

const MOST_AT_ONCE = 6;
export const NUM_BINS = 256, NUM_SLOTS = 16, BLOCK = 16;

export class Tiles {
  constructor(onArrival, most = 1500) {
    this.onArrival = onArrival;
    this.most = most;
    this.kept = new Map();
    this.wishes = [];
    this.numRunning = 0;
  }

  // The tile, or undefined until it has arrived.
  get(key, load) {
    if (this.kept.has(key)) {
      const value = this.kept.get(key);
      this.kept.delete(key); // the latest used last
      this.kept.set(key, value);
      return value ?? undefined;
    }
    this.kept.set(key, null);
    this.wishes.push({ key, load });
    this.next();
    return undefined;
  }

  peek(key) {
    return this.kept.get(key) ?? undefined;
  }

  clear() {
    this.kept.clear();
    this.wishes = [];
  }

  async next() {
    if (this.numRunning >= MOST_AT_ONCE || !this.wishes.length) return;
    const { key, load } = this.wishes.pop();
    if (this.wishes.length > 60) for (const old of this.wishes.splice(0, 30)) this.kept.delete(old.key);
    this.numRunning += 1;
    try {
      const value = await load();
      if (this.kept.has(key)) this.kept.set(key, value);
      for (const old of this.kept.keys()) if (this.kept.size > this.most) this.kept.delete(old); else break;
      this.onArrival();
    } catch {
      // Asked again when it is wished for after the next change of the library.
    } finally {
      this.numRunning -= 1;
      this.next();
    }
  }
}

export async function loadImage(path) {
  const image = new Image();
  image.src = path;
  await image.decode();
  return image;
}

export const loadTrack = (track, level, number, rows) => getBytes(`/tracks/${track}/${level}/${number}?rows=${rows.join(",")}`);
