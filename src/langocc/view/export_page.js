// SPDX-License-Identifier: Apache-2.0
// The viewer of an exported page: cubes by WebGL 2, one instance a face. No library, no network.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const COLD = [214, 217, 222], LIGHT = [0.86, 0.74, 0.68, 0.62, 1.0, 0.5];
const SAID = { predicted: "Predicted occupancy", true: "True occupancy", difference: "Prediction against truth" };
const state = { layer: "predicted", query: null, level: 0.35, over: true, lidar: false };

// ---- cubes: x, y, z, open faces, class of each voxel become one row a face -------------------
function faces(layer) {
  const rows = bytes(layer.voxels), place = [], voxel = [];
  for (let v = 0; v < layer.count; v++)
    for (let side = 0; side < 6; side++)
      if (rows[5 * v + 3] >> side & 1) {
        place.push(rows[5 * v], rows[5 * v + 1], rows[5 * v + 2], side);
        voxel.push(v);
      }
  return { ...layer, rows, place: new Uint8Array(place), voxel, faces: voxel.length };
}
const layers = Object.fromEntries(Object.entries(data.layers).map(([name, l]) => [name, faces(l)]));
const vehicle = faces(data.vehicle);
for (const query of data.queries) query.heat = bytes(query.heat);

const classesOf = (layer) => layer.classes ?? data.classes;

// ---- colours: rgb and how much of a photograph a face covers ---------------------------------
function colourOf(v) {
  const layer = layers[state.layer];
  if (state.query === null || state.layer !== "predicted")
    return [...(classesOf(layer)[layer.rows[5 * v + 4]]?.colour ?? COLD), 135];
  const heat = state.query.heat[v];
  return heat >= 255 * state.level && heat > 0 ? [...data.heat[heat], 90 + heat * 0.6] : [...COLD, 0];
}
function paint(layer, colour) {
  const out = new Uint8Array(4 * layer.faces);
  for (let f = 0; f < layer.faces; f++) {
    const [r, g, b, a] = colour(layer.voxel[f]), light = LIGHT[layer.place[4 * f + 3]];
    out.set([r * light, g * light, b * light, a], 4 * f);
  }
  return out;
}

// ---- WebGL -----------------------------------------------------------------------------------
const canvas = $("view");
const gl = canvas.getContext("webgl2", { antialias: true, premultipliedAlpha: true });
const VERTEX = `#version 300 es
in vec4 place; in vec4 colour;
uniform mat4 clipFromEgo; uniform vec3 lower; uniform vec3 cell;
out vec4 shade; out vec2 at;
void main() {
  at = vec2[6](vec2(0, 0), vec2(1, 0), vec2(1, 1), vec2(0, 0), vec2(1, 1), vec2(0, 1))[gl_VertexID];
  int side = int(place.w), axis = side / 2;
  float front = float(1 - side % 2);
  vec3 corner = axis == 0 ? vec3(front, at) : axis == 1 ? vec3(at.x, front, at.y) : vec3(at, front);
  shade = colour;
  gl_Position = clipFromEgo * vec4(lower + cell * (place.xyz + corner), 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 shade; in vec2 at;
uniform bool isOver;
out vec4 pixel;
void main() {
  vec2 wide = fwidth(at), rim = min(at, 1.0 - at) / wide;
  float small = smoothstep(0.08, 0.25, max(wide.x, wide.y)); // far cubes have no outlines
  float edge = min(rim.x, rim.y) < 0.8 ? mix(0.82, 1.0, small) : 1.0;
  float alpha = isOver ? shade.a : 1.0;
  pixel = vec4(shade.rgb * edge * alpha, alpha);
}`;
const POINT = `#version 300 es
in vec3 step; uniform mat4 clipFromEgo; uniform vec3 lower; uniform float cell;
out vec3 shade;
void main() {
  vec3 place = lower + cell * step;
  gl_Position = clipFromEgo * vec4(place, 1.0);
  gl_Position.z -= 0.4 / gl_Position.w; // half a metre nearer: a point inside its cube is seen
  gl_PointSize = clamp(110.0 / gl_Position.w, 1.5, 5.0);
  shade = mix(vec3(0.05, 0.2, 0.55), vec3(0.0, 0.65, 0.62), clamp((place.z + 1.0) / 5.0, 0.0, 1.0));
}`;
const DOT = `#version 300 es
precision highp float;
in vec3 shade; out vec4 pixel;
void main() { pixel = vec4(shade, 1.0); }`;
let program, points, buffers = {}, at = {};
function compiled(...sources) {
  const made = gl.createProgram();
  [gl.VERTEX_SHADER, gl.FRAGMENT_SHADER].forEach((kind, i) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, sources[i]);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  });
  gl.linkProgram(made);
  return made;
}
function start() {
  program = compiled(VERTEX, FRAGMENT);
  for (const name of ["clipFromEgo", "lower", "cell", "isOver"]) at[name] = gl.getUniformLocation(program, name);
  gl.enable(gl.DEPTH_TEST);
  for (const [name, layer] of [...Object.entries(layers), ["vehicle", vehicle]]) {
    buffers[name] = { place: fill(layer.place), colour: gl.createBuffer() };
  }
  fill(paint(vehicle, () => [38, 40, 46, 255]), buffers.vehicle.colour);
  if (data.lidar) {
    points = compiled(POINT, DOT);
    buffers.lidar = fill(new Uint16Array(bytes(data.lidar.points).buffer));
  }
}
function drawPoints(clipFromEgo) {
  gl.useProgram(points);
  const index = gl.getAttribLocation(points, "step");
  gl.bindBuffer(gl.ARRAY_BUFFER, buffers.lidar);
  gl.enableVertexAttribArray(index);
  gl.vertexAttribPointer(index, 3, gl.UNSIGNED_SHORT, false, 0, 0);
  gl.vertexAttribDivisor(index, 0);
  gl.uniformMatrix4fv(gl.getUniformLocation(points, "clipFromEgo"), false, clipFromEgo);
  gl.uniform3fv(gl.getUniformLocation(points, "lower"), data.lidar.lower);
  gl.uniform1f(gl.getUniformLocation(points, "cell"), data.lidar.step);
  gl.drawArrays(gl.POINTS, 0, data.lidar.count);
}
function fill(array, buffer = gl.createBuffer()) {
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
  return buffer;
}
function draw(name, layer, clipFromEgo, isOver) {
  gl.useProgram(program);
  for (const [attribute, unit] of [["place", false], ["colour", true]]) {
    const index = gl.getAttribLocation(program, attribute);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name][attribute]);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, 4, gl.UNSIGNED_BYTE, unit, 0, 0);
    gl.vertexAttribDivisor(index, 1);
  }
  gl.uniformMatrix4fv(at.clipFromEgo, false, clipFromEgo);
  gl.uniform3fv(at.lower, layer.lower);
  gl.uniform3fv(at.cell, layer.cell);
  gl.uniform1i(at.isOver, isOver);
  gl.drawArraysInstanced(gl.TRIANGLES, 0, 6, layer.faces);
}

// ---- eyes: a pinhole camera (x right, y down, z forward) as a column-major clip matrix -------
function clip(k, camFromEgo, width, height, near = 0.4, far = 400) {
  const [x, y, z] = camFromEgo, rows = [0, 1, 2, 3].map((j) => [
    2 * (k[0][0] * x[j] + k[0][2] * z[j]) / width - z[j],
    z[j] - 2 * (k[1][1] * y[j] + k[1][2] * z[j]) / height,
    (far + near) / (far - near) * z[j] - (j === 3 ? 2 * far * near / (far - near) : 0),
    z[j],
  ]);
  return new Float32Array(rows.flat());
}
const HOME = { turn: -1.87, tilt: 0.74, away: 62, target: [-3.2, 1.6, -1] };
let eye = structuredClone(HOME);
function axes() {
  const [c, s, ct, st] = [Math.cos(eye.turn), Math.sin(eye.turn), Math.cos(eye.tilt), Math.sin(eye.tilt)];
  return { right: [c, s, 0], down: [s * st, -c * st, -ct], ahead: [-s * ct, c * ct, -st] };
}
function orbit() {
  const { right, down, ahead } = axes(), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const place = eye.target.map((t, i) => t - eye.away * ahead[i]);
  const pose = [right, down, ahead].map((axis) => [...axis, -dot(axis, place)]);
  const [w, h] = [canvas.width, canvas.height], focal = Math.max(0.94 * w, 1.5 * h);
  return clip([[focal, 0, w / 2], [0, focal, h / 2]], pose, w, h);
}

// ---- drawing ---------------------------------------------------------------------------------
let isPlanned = false;
const show = () => { if (gl && !isPlanned) { isPlanned = true; requestAnimationFrame(drawScene); } };
function drawScene() {
  isPlanned = false;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const size = [canvas.clientWidth, canvas.clientHeight].map((s) => Math.max(1, Math.round(s * ratio)));
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  clear(canvas.width, canvas.height);
  draw(state.layer, layers[state.layer], orbit(), false);
  draw("vehicle", vehicle, orbit(), false);
  if (data.lidar && state.lidar) drawPoints(orbit());
}
function clear(width, height) {
  gl.viewport(0, 0, width, height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
}
function drawOver() {
  drawScene(); // sets the canvas's size
  data.cameras.forEach((camera, i) => {
    const target = document.querySelectorAll("#cameras canvas")[i], pen = target.getContext("2d");
    pen.clearRect(0, 0, target.width, target.height);
    if (!state.over) return;
    const [w, h] = [Math.min(camera.width, canvas.width), Math.min(camera.height, canvas.height)];
    clear(w, h);
    const matrix = clip(camera.intrinsics, camera.cam_from_ego, camera.width, camera.height);
    draw(state.layer, layers[state.layer], matrix, true);
    pen.drawImage(canvas, 0, canvas.height - h, w, h, 0, 0, target.width, target.height);
  });
  drawScene();
}
function refresh() {
  const isHeat = state.query !== null && state.layer === "predicted";
  if (gl) { fill(paint(layers[state.layer], colourOf), buffers[state.layer].colour); drawOver(); }
  for (const button of document.querySelectorAll("[data-layer], [data-query]")) {
    const isChosen = button.dataset.layer ? button.dataset.layer === (isHeat ? "" : state.layer)
      : isHeat && data.queries[button.dataset.query] === state.query;
    button.setAttribute("aria-pressed", isChosen);
  }
  $("level-row").hidden = !isHeat;
  $("level-text").textContent = state.level.toFixed(2);
  $("said").textContent = isHeat ? `“${state.query.text}”` : SAID[state.layer];
  legend(isHeat);
  document.body.dataset.shown = isHeat ? state.query.text : state.layer;
}

// ---- words -----------------------------------------------------------------------------------
function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
function legend(isHeat) {
  const layer = layers[state.layer], box = $("legend");
  box.replaceChildren();
  if (isHeat) {
    const stops = [0, 51, 102, 153, 204, 255].map((i) => `rgb(${data.heat[i]})`), ends = element("div", "", { class: "ends" });
    ends.append(element("span", `unlike ${state.query.low.toFixed(2)}`), element("span", `${state.query.high.toFixed(2)} like`));
    const hot = state.query.heat.filter((h) => h > 0 && h >= 255 * state.level).length;
    box.append(element("h2", "Similarity"), element("div", "", { class: "bar", style: `background: linear-gradient(90deg, ${stops})` }), ends);
    box.append(element("p", `${hot.toLocaleString("en")} of ${layer.count.toLocaleString("en")} visible voxels are this warm`));
    if (state.query.note) box.append(element("p", state.query.note));
    return;
  }
  const there = new Set(), list = element("ul");
  for (let v = 0; v < layer.count; v++) there.add(layer.rows[5 * v + 4]);
  for (const id of [...there].sort((a, b) => a - b)) {
    const item = element("li"), { name, colour } = classesOf(layer)[id];
    item.append(element("i", "", { style: `background: rgb(${colour})` }), name);
    list.append(item);
  }
  box.append(element("h2", layer.classes ? "Prediction against truth" : "Classes"), list, element("p", `${layer.count.toLocaleString("en")} visible voxels`));
  if (data.hidden && state.layer === "predicted") box.append(element("p", `${data.hidden.toLocaleString("en")} less dense ones are left out`));
}
function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const item of $("queries").children) {
    item.hidden = !words.every((word) => item.textContent.toLowerCase().includes(word));
    left += !item.hidden;
  }
  $("none").hidden = left > 0;
  $("none").replaceChildren(`No prepared query has “${$("filter").value}”. Free text needs the live page: `, element("code", "langocc view RUN --root ROOT"));
  document.body.dataset.left = left;
}
function build() {
  const names = { predicted: "Predicted", true: "True", difference: "Difference" };
  for (const name of Object.keys(layers)) {
    const button = element("button", names[name], { "data-layer": name });
    button.onclick = () => { Object.assign(state, { layer: name, query: null }); refresh(); };
    $("layers").append(button);
  }
  data.queries.forEach((query, i) => {
    const item = element("li"), button = element("button", query.text, { "data-query": i });
    button.onclick = () => { Object.assign(state, { layer: "predicted", query }); refresh(); };
    item.append(button);
    $("queries").append(item);
  });
  for (const camera of data.cameras) {
    const box = element("figure");
    box.append(element("img", "", { src: camera.image, alt: camera.name }), element("canvas", "", { width: camera.width, height: camera.height }), element("figcaption", camera.name));
    $("cameras").append(box);
  }
  $("filter").oninput = filter;
  $("filter").onkeydown = (event) => { if (event.key === "Enter") $("queries").querySelector("li:not([hidden]) button")?.click(); };
  $("level").oninput = (event) => { state.level = Number(event.target.value); refresh(); };
  $("lidar-row").hidden = !data.lidar;
  $("lidar").onchange = (event) => { state.lidar = event.target.checked; show(); };
  $("over").onchange = (event) => { state.over = event.target.checked; refresh(); };
}
function steer() {
  canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = (event) => {
    if (!event.buttons) return;
    if (event.shiftKey || event.buttons > 1) {
      const { right, down } = axes(), scale = eye.away / Math.max(canvas.clientWidth, 1);
      eye.target = eye.target.map((t, i) => t - scale * (right[i] * event.movementX + down[i] * event.movementY));
    } else {
      eye.turn -= event.movementX * 0.006;
      eye.tilt = Math.min(1.57, Math.max(-0.2, eye.tilt + event.movementY * 0.006));
    }
    show();
  };
  canvas.onwheel = (event) => { event.preventDefault(); eye.away = Math.min(250, Math.max(4, eye.away * Math.exp(event.deltaY * 0.001))); show(); };
  canvas.ondblclick = () => { eye = structuredClone(HOME); show(); };
  canvas.oncontextmenu = (event) => event.preventDefault();
  canvas.onkeydown = (event) => {
    const turn = { ArrowLeft: 0.08, ArrowRight: -0.08 }[event.key], tilt = { ArrowUp: 0.06, ArrowDown: -0.06 }[event.key];
    if (turn) eye.turn += turn; else if (tilt) eye.tilt += tilt; else return;
    event.preventDefault();
    show();
  };
  new ResizeObserver(show).observe(canvas);
}
build();
filter();
if (gl) { start(); steer(); } else {
  canvas.replaceWith(element("img", "", { src: data.drawn, alt: "Predicted occupancy" }));
  $("none").hidden = false;
  $("none").textContent = "This browser has no WebGL 2: predicted occupancy is a drawing, and answers cannot be shown.";
}
refresh();
document.body.dataset.state = gl ? "ready" : "drawn";
