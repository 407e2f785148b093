// The pool as a map, coloured by who selected a row, by its group or by its score.
"use strict";

const NOT_TAKEN = "#9aa1ab", DOT = 2.2;
const SCALE = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // low to high, safe for colour-blind readers

async function mapView(run) {
  const query = { by: "arm", ...sampleQuery(run) };
  const map = await source.map(run.name, query);
  const hidden = new Set();
  const canvas = el("canvas", { class: "map", role: "img", "aria-label": `${plural(map.ids.length, "row")} of the pool; the list of samples says the same in words` });
  const tip = el("div", { class: "tip", role: "status" });
  const view = { scale: 1, x: 0, y: 0 };
  const draw = () => drawMap(canvas, run, map, query, hidden, view);
  const set = (changes) => { write({ ...only(query, ["arm", "seed", "by"]), ...changes }); render(); };
  const ways = [["arm", "selected by"], ...(map.names.length ? [["group", "group"]] : []), ...(map.scores.some((s) => s !== null) ? [["score", "score"]] : [])];
  if (!ways.some(([way]) => way === query.by)) query.by = "arm";
  const zoom = (by) => { view.scale = Math.max(1, Math.min(40, view.scale * by)); if (view.scale === 1) view.x = view.y = 0; draw(); };
  const filters = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    armChoice(run, "arm", query.arm, query.seed, (arm, seed) => set({ arm, seed })),
    choice("colour by", query.by, ways, (v) => set({ by: v })),
    el("span", { class: "pair" }, el("button", { type: "button", onclick: () => zoom(1.6) }, "Closer"), el("button", { type: "button", onclick: () => zoom(1 / 1.6) }, "Farther")));
  const [one, two] = map.places.explained.map((share) => `${(100 * share).toFixed(1)}%`);
  const drawn = map.ids.length < map.places.rows ? `${count(map.ids.length)} of ${plural(map.places.rows, "row")}, those that were selected first` : plural(map.places.rows, "row");
  const note = `${drawn}; embeddings of ${map.places.text === "given" ? "yours" : `the ${map.places.text}`}, first two principal components, with ${one} and ${two} of the variance. A click opens a row.`;
  listen(canvas, tip, run, map, view, zoom, draw);
  return {
    nodes: [filters, mapLegend(run, map, query, hidden, draw), el("div", { class: "mapbox" }, canvas, tip), el("p", { class: "note" }, note)],
    start: async () => { draw(); new ResizeObserver(draw).observe(canvas); if (query.open) await openSample(run, query.open); },
  };
}

function mapLegend(run, map, query, hidden, draw) {
  if (query.by === "score") {
    const known = map.scores.filter((s) => s !== null).sort((a, b) => a - b);
    return el("div", { class: "legend" }, `${number(known[0])} `, SCALE.map((c) => chip(c)), ` ${number(known.at(-1))}, by place among all scores`);
  }
  const entries = query.by === "group"
    ? [...map.names.map((name, i) => [i, name, map.palette[i]]), [null, "other groups", NOT_TAKEN]]
    : [...run.selections.map((one, i) => [i, titled(one), colourOf(run, one.arm)]).filter(([i]) => !takesAll(map, i)), [null, "not selected", NOT_TAKEN]];
  return el("div", { class: "legend" }, entries.map(([key, name, colour]) => el("label", {},
    el("input", { type: "checkbox", checked: true, onchange: (e) => { if (e.target.checked) hidden.delete(key); else hidden.add(key); draw(); } }), chip(colour), name)));
}

const takesAll = (map, k) => map.taken.every((taken) => taken.includes(k)); // which says nothing

function colours(run, map, query, hidden) {
  // For each row its colour, or null where it is not drawn; and which rows come last, on top.
  if (query.by === "score") {
    const order = map.scores.map((s, i) => [s, i]).filter(([s]) => s !== null).sort((a, b) => a[0] - b[0]);
    const made = map.ids.map(() => [NOT_TAKEN, 0]);
    order.forEach(([, i], place) => { made[i] = [SCALE[Math.min(SCALE.length - 1, Math.floor((place / order.length) * SCALE.length))], 1]; });
    return made;
  }
  if (query.by === "group") return map.groups.map((g) => (hidden.has(g) ? [null, 0] : g === null ? [NOT_TAKEN, 0] : [map.palette[g], 1]));
  const own = run.selections.findIndex((one) => one.arm === query.arm && String(one.seed ?? "") === String(query.seed ?? ""));
  const whole = run.selections.map((_, k) => takesAll(map, k));
  return map.taken.map((taken) => {
    const by = taken.filter((k) => !hidden.has(k) && (!whole[k] || k === own));
    if (!by.length) return hidden.has(null) ? [null, 0] : [NOT_TAKEN, 0];
    const shown = by.includes(own) ? own : by[0];
    return [colourOf(run, run.selections[shown].arm), shown === own ? 2 : 1];
  });
}

function place(canvas, map, view, i) {
  if (!map.wide) { // the widest that any row lies from the middle
    map.wide = Math.max(1e-9, map.places.x.reduce((m, v) => Math.max(m, Math.abs(v)), 0));
    map.high = Math.max(1e-9, map.places.y.reduce((m, v) => Math.max(m, Math.abs(v)), 0));
  }
  const half = Math.min((canvas.clientWidth / 2 - 10) / map.wide, (canvas.clientHeight / 2 - 10) / map.high);
  return [canvas.clientWidth / 2 + (map.places.x[i] * half + view.x) * view.scale, canvas.clientHeight / 2 - (map.places.y[i] * half - view.y) * view.scale];
}

function drawMap(canvas, run, map, query, hidden, view) {
  const sharp = window.devicePixelRatio || 1, brush = canvas.getContext("2d");
  canvas.width = canvas.clientWidth * sharp;
  canvas.height = canvas.clientHeight * sharp;
  brush.scale(sharp, sharp);
  const made = colours(run, map, query, hidden);
  for (const layer of [0, 1, 2]) {
    made.forEach(([colour, at], i) => {
      if (colour === null || at !== layer) return;
      const [x, y] = place(canvas, map, view, i);
      brush.globalAlpha = layer ? 0.9 : 0.35;
      brush.fillStyle = colour;
      brush.beginPath();
      brush.arc(x, y, layer ? DOT + 0.6 : DOT, 0, 7);
      brush.fill();
    });
  }
}

function listen(canvas, tip, run, map, view, zoom, draw) {
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 144;
    map.ids.forEach((_, i) => {
      const [x, y] = place(canvas, map, view, i), apart = (x - px) ** 2 + (y - py) ** 2;
      if (apart < least) { least = apart; best = i; }
    });
    return best;
  };
  let held = null, moved = false;
  canvas.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; moved = false; });
  canvas.addEventListener("pointermove", (event) => {
    if (held && event.buttons && view.scale > 1) {
      view.x += (event.clientX - held[0]) / view.scale;
      view.y += (event.clientY - held[1]) / view.scale;
      held = [event.clientX, event.clientY];
      moved = true;
      draw();
      return;
    }
    const i = nearest(event);
    const by = i < 0 ? [] : map.taken[i].map((k) => titled(run.selections[k]));
    tip.textContent = i < 0 ? "" : [map.ids[i], map.groups[i] === null ? "" : map.names[map.groups[i]], map.scores[i] === null ? "" : `score ${number(map.scores[i])}`, by.length ? `selected by ${by.join(", ")}` : "not selected"].filter(Boolean).join(" · ");
    canvas.style.cursor = i < 0 ? "default" : "pointer";
  });
  canvas.addEventListener("click", (event) => { const i = nearest(event); held = null; if (i >= 0 && !moved) openSample(run, map.ids[i]); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8); }, { passive: false });
}
