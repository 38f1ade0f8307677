// Many points on a canvas: by WebGL, or into pixels where there is none. A million are drawn in one call.
const VERTEX = `#version 300 es
in vec2 at; in vec3 colour; in float chosen;
uniform vec2 middle, scale; uniform float size, dimmed;
out vec4 shade;
void main() {
  gl_Position = vec4((at - middle) * scale, 0.0, 1.0);
  gl_PointSize = size;
  shade = vec4(colour, 1.0 - dimmed * (1.0 - chosen));
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade; out vec4 result;
void main() {
  float far = length(gl_PointCoord - 0.5);
  if (far > 0.5) discard;
  result = vec4(shade.rgb * shade.a, shade.a);
}`;
const DIMMED = 0.8; // of what is not chosen, while something is
const MOVING = 120_000; // points that are drawn while the map moves: an even sample, as they are drawn in random order

export function makePoints(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
  return gl ? new GlPoints(canvas, gl) : new PixelPoints(canvas);
}

// What both hold: positions Uint16 (N x 2), colours Uint8 (N x 4), chosen Uint8 (N) of 0 or 255, in random order.
class Points {
  constructor(canvas) {
    Object.assign(this, { canvas, held: {}, num: 0, order: new Uint32Array(0) });
  }

  set(name, values) {
    if (name === "at") { this.num = values.length / 2; this.order = shuffled(this.num); }
    const { num, order } = this, mixed = new values.constructor(values.length);
    if (name === "chosen") for (let index = 0; index < num; index++) mixed[index] = values[order[index]];
    else {
      // Several values of a point are moved as one number.
      const from = new Uint32Array(values.buffer, values.byteOffset, num), to = new Uint32Array(mixed.buffer);
      for (let index = 0; index < num; index++) to[index] = from[order[index]];
    }
    this.held[name] = mixed;
  }

  numDrawn(isMoving) { return isMoving ? Math.min(this.num, MOVING) : this.num; }
}

// The same order each time.
function shuffled(num) {
  const order = Uint32Array.from({ length: num }, (_, index) => index);
  let state = 1;
  for (let index = num - 1; index > 0; index--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (index + 1)), kept = order[index];
    order[index] = order[other];
    order[other] = kept;
  }
  return order;
}

class GlPoints extends Points {
  constructor(canvas, gl) {
    super(canvas);
    this.gl = gl;
    this.build();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.build(); for (const [name, values] of Object.entries(this.held)) this.upload(name, values); });
  }

  build() {
    const { gl } = this, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.program = program;
    this.buffers = {};
    this.uniform = Object.fromEntries(["middle", "scale", "size", "dimmed"].map((name) => [name, gl.getUniformLocation(program, name)]));
  }

  set(name, values) {
    super.set(name, values);
    this.upload(name, this.held[name]);
  }

  upload(name, values) {
    const { gl } = this, place = gl.getAttribLocation(this.program, name), [size, kind, stride] = { at: [2, gl.UNSIGNED_SHORT, 4], colour: [3, gl.UNSIGNED_BYTE, 4], chosen: [1, gl.UNSIGNED_BYTE, 1] }[name];
    const buffer = (this.buffers[name] ??= gl.createBuffer());
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, kind, true, stride, 0);
  }

  // `scale` is pixels of the page for the unit square.
  draw({ x, y, scale, size, isAnyChosen, isMoving }) {
    const { gl, canvas, uniform } = this, density = fit(canvas);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.num || !this.held.colour || !this.held.chosen) return;
    gl.uniform2f(uniform.middle, x, y);
    gl.uniform2f(uniform.scale, (2 * scale) / canvas.clientWidth, (-2 * scale) / canvas.clientHeight);
    gl.uniform1f(uniform.size, size * density);
    gl.uniform1f(uniform.dimmed, isAnyChosen ? DIMMED : 0);
    gl.drawArrays(gl.POINTS, 0, this.numDrawn(isMoving));
  }
}

class PixelPoints extends Points {
  draw({ x, y, scale, size, isAnyChosen, isMoving }) {
    const { canvas, held: { at, colour, chosen } } = this, density = fit(canvas), context = canvas.getContext("2d");
    const width = canvas.width, height = canvas.height, picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer), shades = colour && new Uint32Array(colour.buffer), last = this.numDrawn(isMoving);
    const side = Math.max(1, Math.round(size * density)), half = side >> 1, unit = (scale * density) / 65535;
    const left = width / 2 - x * scale * density, top = height / 2 - y * scale * density;
    for (let index = 0; shades && index < last; index++) {
      const px = Math.round(left + at[2 * index] * unit) - half, py = Math.round(top + at[2 * index + 1] * unit) - half;
      if (px < 0 || py < 0 || px + side > width || py + side > height) continue;
      const shade = (shades[index] & 0xffffff) | (isAnyChosen && !chosen[index] ? 0x33000000 : 0xff000000);
      for (let down = 0, from = py * width + px; down < side; down++, from += width) pixels.fill(shade, from, from + side);
    }
    context.putImageData(picture, 0, 0);
  }
}

function fit(canvas) {
  const density = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * density), height = Math.round(canvas.clientHeight * density);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  return density;
}

// Which points are near a position: cells of a square grid, so that a pointer asks a few hundred points, not all.
export class PointGrid {
  constructor(at) {
    const num = at.length / 2, side = (this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(num / 8)))));
    const cells = new Uint32Array(num);
    this.starts = new Uint32Array(side * side + 1);
    for (let index = 0; index < num; index++) this.starts[1 + (cells[index] = this.cell(at[2 * index + 1]) * side + this.cell(at[2 * index]))]++;
    for (let cell = 0; cell < side * side; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.order = new Uint32Array(num);
    for (let index = 0; index < num; index++) this.order[next[cells[index]]++] = index;
  }

  cell(value) { return Math.min(this.side - 1, Math.max(0, Math.floor((value / 65536) * this.side))); }

  // Calls `each` with the points inside a path of corners. Only cells that the path touches are tested point by point.
  inPath(corners, at, each) {
    const { side } = this, touched = new Uint8Array(side * side), half = 32768 / side;
    let [low, high] = [side, -1];
    corners.forEach(([x, y], index) => {
      const [ox, oy] = corners[(index + corners.length - 1) % corners.length];
      const [left, right] = [this.cell(Math.min(x, ox)), this.cell(Math.max(x, ox))], [top, bottom] = [this.cell(Math.min(y, oy)), this.cell(Math.max(y, oy))];
      for (let row = top; row <= bottom; row++) touched.fill(1, row * side + left, row * side + right + 1);
      [low, high] = [Math.min(low, top), Math.max(high, bottom)];
    });
    for (let row = low; row <= high; row++) {
      let isIn = null; // of the cells since the last one that is touched
      for (let column = 0; column < side; column++) {
        const cell = row * side + column, first = this.starts[cell], last = this.starts[cell + 1];
        if (touched[cell]) {
          isIn = null;
          for (let index = first; index < last; index++) { const one = this.order[index]; if (isInside(at[2 * one], at[2 * one + 1], corners)) each(one); }
          continue;
        }
        isIn ??= isInside((2 * column + 1) * half, (2 * row + 1) * half, corners);
        if (isIn) for (let index = first; index < last; index++) each(this.order[index]);
      }
    }
  }

  // Calls `each` with the points in a box of positions, 0 to 65535, and a little around it, until it returns false.
  inBox(x0, y0, x1, y1, each) {
    for (let row = this.cell(y0); row <= this.cell(y1); row++) {
      const first = this.starts[row * this.side + this.cell(x0)], last = this.starts[row * this.side + this.cell(x1) + 1];
      for (let index = first; index < last; index++) if (each(this.order[index]) === false) return;
    }
  }
}

function isInside(x, y, path) {
  let inside = false;
  for (let one = 0, before = path.length - 1; one < path.length; before = one++) {
    const [ax, ay] = path[one], [bx, by] = path[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
