// The page of `tacos view`. Every text of a run is inserted as a text node, never as HTML.
// Data comes through `source`, which either asks the server or reads the scripts of a bundle; the rest does not know which.
"use strict";

// ---------------------------------------------------------------- data: from the server, or from a bundle

function serverSource() {
  async function ask(path, query) {
    const given = Object.entries(query || {}).filter(([, v]) => v !== "" && v !== null && v !== undefined);
    const url = `/api/runs${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
    const reply = await fetch(url);
    if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
    return reply.json();
  }
  const at = (run) => `/${encodeURIComponent(run)}`;
  return {
    runs: () => ask(""),
    overview: (run) => ask(at(run)),
    choices: (run, query) => ask(`${at(run)}/choices`, { arm: query.arm, seed: query.seed }),
    samples: (run, query) => ask(`${at(run)}/samples`, query),
    story: (run, id) => ask(`${at(run)}/samples/${encodeURIComponent(id)}`),
    answers: (run, query) => ask(`${at(run)}/answers`, query),
    plot: (run, name) => `/plots${at(run)}/${encodeURIComponent(name)}`,
    limits: async () => "",
  };
}

function bundleSource() {
  const waiting = new Map(), loaded = new Map();
  window.tacosData = (key, value) => waiting.get(key)(value);
  function load(key) {
    if (!loaded.has(key)) {
      loaded.set(key, new Promise((resolve, reject) => {
        waiting.set(key, resolve);
        const script = el("script", { src: `data/${key}.js` });
        script.onerror = () => reject(new Error(`the bundle lacks data/${key}.js`));
        document.head.append(script);
      }));
    }
    return loaded.get(key);
  }
  async function place(run) {
    const number = (await load("runs")).findIndex((one) => one.name === run);
    if (number < 0) throw new Error(`the bundle holds no run ${run}`);
    return number;
  }
  const part = async (run, name) => load(`${await place(run)}/${name}`);
  return {
    runs: () => load("runs"),
    overview: (run) => part(run, "overview"),
    choices: async (run, query) => (await part(run, "samples")).arms[armKey(query)].choices,
    samples: async (run, query) => pageOf(await part(run, "samples"), query),
    story: async (run, id) => {
      const held = await part(run, "samples"), row = held.rows.findIndex((one) => one.id === id);
      if (row < 0) throw new Error(`the bundle does not hold ${id}: it has ${held.limits}`);
      return (await part(run, `stories-${Math.floor(row / held.chunk)}`))[row % held.chunk];
    },
    answers: async (run, query) => answersOf(await part(run, "answers"), query),
    plot: (run, name) => `plots/${encodeURIComponent(run)}/${encodeURIComponent(name)}`,
    limits: async (run) => (await part(run, "samples")).limits,
  };
}

const armKey = (query) => `${query.arm}|${query.seed ?? ""}`;
const SHORT = 280;
const cut = (text) => {
  const flat = text.replace(/\s+/g, " ").trim();
  return flat.length > SHORT ? `${flat.slice(0, SHORT)}…` : flat;
};

// What tacos/viewing/samples.py does, over the rows of a bundle.
function pageOf(held, query) {
  const own = held.arms[armKey(query)].rows;
  const other = query.other ? held.arms[armKey({ arm: query.other, seed: query.other_seed })].rows : null;
  const text = (query.q || "").trim().toLowerCase();
  const low = query.min === "" || query.min == null ? -Infinity : Number(query.min);
  const high = query.max === "" || query.max == null ? Infinity : Number(query.max);
  const bounded = low > -Infinity || high < Infinity;
  const taken = (rows, i) => rows !== null && rows[i].rank !== null;
  const shown = {
    all: () => true,
    selected: (i) => taken(own, i),
    discarded: (i) => !taken(own, i),
    both: (i) => taken(own, i) && taken(other, i),
    only_a: (i) => taken(own, i) && !taken(other, i),
    only_b: (i) => !taken(own, i) && taken(other, i),
  }[query.filter || "all"];
  const kept = held.rows.map((_, i) => i).filter((i) => shown(i)
    && (!query.group || own[i].groups.includes(query.group))
    && (!query.tag || own[i].tags.includes(query.tag))
    && (!query.source || held.rows[i].source === query.source)
    && (!query.reason || own[i].reason === query.reason)
    && (!bounded || (own[i].score !== null && own[i].score >= low && own[i].score <= high))
    && (!text || `${held.rows[i].prompt}\n\n${held.rows[i].response}`.toLowerCase().includes(text)));
  kept.sort(sorter(query.sort || "rank", held, own));
  const start = Number(query.offset || 0), rows = kept.slice(start, start + Number(query.limit || 50));
  const full = rows.map((i) => ({
    ...held.rows[i], ...own[i], prompt: cut(held.rows[i].prompt), response: cut(held.rows[i].response),
  }));
  return { total: kept.length, offset: start, rows: full };
}

function sorter(sort, held, own) {
  const last = (value) => (value === null ? Infinity : value);
  const sign = sort.startsWith("-") ? -1 : 1;
  const key = {
    pool: (i) => held.rows[i].row,
    rank: (i) => last(own[i].rank),
    score: (i) => (own[i].score === null ? Infinity : sign * own[i].score),
    words: (i) => sign * held.rows[i].words,
  }[sort.replace("-", "")];
  return (a, b) => {
    const x = key(a), y = key(b);
    return x === y ? held.rows[a].row - held.rows[b].row : x - y;
  };
}

// What tacos/viewing/answers.py does.
function answersOf(all, query) {
  const seeds = all.flatMap((row) => row.answers).filter((a) => !query.arm || a.arm === query.arm).map((a) => a.seed);
  const seed = query.seed !== undefined && query.seed !== "" ? Number(query.seed) : Math.min(...seeds);
  const text = (query.q || "").trim().toLowerCase();
  const found = all.map((row) => ({ ...row, answers: row.answers.filter((a) => a.seed === seed) })).filter((row) => {
    const own = row.answers.find((a) => a.arm === query.arm), other = row.answers.find((a) => a.arm === query.other);
    if (!row.answers.length) return false;
    if (query.filter === "flipped" && !(query.arm ? [own, other] : row.answers).some((a) => a && a.flipped)) return false;
    if (query.filter === "disagree" && !(own && other && differ(own, other))) return false;
    return !text || [row, ...row.answers].some((one) => one.turns.some((said) => said.toLowerCase().includes(text)));
  });
  const start = Number(query.offset || 0);
  return { total: found.length, offset: start, questions: found.slice(start, start + Number(query.limit || 25)) };
}

function differ(own, other) {
  if (own.exact_match !== null && other.exact_match !== null && own.exact_match !== other.exact_match) return true;
  const a = own.result || "tie", b = other.result || "tie";
  return a !== "unparsed" && b !== "unparsed" && a !== b;
}

// ---------------------------------------------------------------- small things

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "colour") node.style.background = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (["value", "src", "href", "checked", "disabled", "tabIndex"].includes(name)) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const main = document.getElementById("main"), dialog = document.getElementById("sample");
const count = (n) => n.toLocaleString("en-US");
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
const number = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 4 }));
const chip = (colour, title, faint) => el("span", { class: faint ? "chip faint" : "chip", colour, title });
const titled = (one) => (one.seed === null ? one.arm : `${one.arm} (seed ${one.seed})`);
const hash = (path, query) => {
  const given = Object.entries(query || {}).filter(([, v]) => v !== "" && v !== null && v !== undefined && v !== false);
  return `#${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
};
const runPath = (run, part) => `/run/${encodeURIComponent(run)}${part ? `/${part}` : ""}`;

const only = (query, keys) => Object.fromEntries(keys.filter((key) => key in query).map((key) => [key, query[key]]));

function marked(text, words) {
  // The text as nodes, with what was searched for marked.
  const sought = (words || "").trim().toLowerCase(), lower = text.toLowerCase();
  if (!sought || lower.length !== text.length) return [text];
  const nodes = [];
  let from = 0;
  for (let at = lower.indexOf(sought); at >= 0; at = lower.indexOf(sought, from)) {
    nodes.push(text.slice(from, at), el("mark", {}, text.slice(at, at + sought.length)));
    from = at + sought.length;
  }
  return [...nodes, text.slice(from)];
}

function choice(label, value, options, onchange, wide) {
  const select = el("select", { onchange: (event) => onchange(event.target.value) },
    options.map(([key, shown]) => el("option", { value: key }, shown)));
  select.value = value;
  return el("label", { class: wide ? "wide" : null }, label, select);
}

let listNumber = 0;
function named(label, value, names, onchange) {
  const id = `names-${listNumber++}`;
  return el("label", {}, label,
    el("input", { value, list: id, placeholder: "any", onchange: (event) => onchange(event.target.value) }),
    el("datalist", { id }, names.map((one) => el("option", { value: one.name }, `${one.name}: ${count(one.selected)} of ${count(one.rows)}`))));
}

function later(work, pause) {
  let timer = 0;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), pause); };
}

function pager(page, limit, size, go) {
  const end = Math.min(page.offset + limit, page.total);
  return el("div", { class: "pager" },
    el("span", {}, page.total ? `${count(page.offset + 1)} to ${count(end)} of ${count(page.total)}` : ""),
    el("button", { disabled: page.offset === 0, onclick: () => go(Math.max(0, page.offset - limit)) }, "Previous"),
    el("button", { disabled: end >= page.total, onclick: () => go(page.offset + limit) }, "Next"));
}

// ---------------------------------------------------------------- where we are: all of it in the hash

let source = null, here = null, rendered = 0;

function read() {
  const [path, query] = location.hash.slice(1).split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { run: parts[0] === "run" ? parts[1] : null, part: parts[2] || "arms", query: Object.fromEntries(new URLSearchParams(query || "")) };
}

function write(query) {
  // The state without a step in the history.
  here.query = query;
  history.replaceState(null, "", hash(runPath(here.run, here.part === "arms" ? "" : here.part), query));
}

async function render() {
  const mine = ++rendered;
  here = read();
  closeSample();
  try {
    const view = here.run === null ? await runsView() : await runView();
    if (mine !== rendered) return;
    main.replaceChildren(...view.nodes);
    if (view.start) await view.start();
  } catch (error) {
    if (mine === rendered) main.replaceChildren(el("p", { class: "warning" }, `This could not be shown. ${error.message}`));
  }
  document.body.dataset.ready = "yes";
}

function bar(run) {
  const where = document.getElementById("where");
  document.title = run ? `${run.name} - tacos view` : "tacos view";
  if (!run) { where.replaceChildren(); return; }
  const link = (part, name) => el("a", { href: hash(runPath(run.name, part)), "aria-current": here.part === (part || "arms") ? "page" : null }, name);
  where.replaceChildren(
    el("span", { class: "run" }, run.name), link("", "Arms"),
    ...(run.selections.length ? [link("samples", "Samples")] : []),
    ...(run.answered.length ? [link("answers", "Answers")] : []));
}

// ---------------------------------------------------------------- runs, and the arms of one

async function runsView() {
  const runs = await source.runs();
  bar(null);
  if (runs.length === 1 && !location.hash) { location.replace(hash(runPath(runs[0].name))); return { nodes: [] }; }
  const cards = runs.map((run) => el("a", { class: "runcard", href: hash(runPath(run.name)) },
    el("b", {}, run.name), el("span", { class: "note" }, run.created ? run.created.replace("T", " ").slice(0, 16) : "a selection"),
    el("span", { class: "note" }, `${plural(run.arms.length, "arm")}: ${run.arms.join(", ")}`),
    run.measures.length ? el("span", { class: "note" }, `measured: ${run.measures.join(", ")}`) : null));
  return { nodes: [el("h2", {}, "Runs"), el("div", { class: "runs cards" }, cards)] };
}

async function runView() {
  const run = await source.overview(here.run);
  bar(run);
  if (here.part === "samples") return samplesView(run);
  if (here.part === "answers") return answersView(run);
  return armsView(run);
}

function armsView(run) {
  const whole = here.query.columns === "all";
  const nodes = [];
  if (run.verdict) {
    nodes.push(el("section", { class: `headline ${run.tone}` }, el("p", { class: "verdict" }, run.verdict), el("p", {}, run.paragraph)));
  }
  const facts = [["pool", plural(run.pool, "row")], ["questions", run.questions ? count(run.questions) : ""], ["written", run.created.replace("T", " ").slice(0, 16)]];
  nodes.push(el("ul", { class: "meta" }, facts.filter(([, v]) => v).map(([k, v]) => el("li", {}, `${k} `, el("b", {}, v)))));
  nodes.push(el("h2", {}, "Arms"), run.table ? reportTable(run, whole) : plainTable(run));
  if (run.table) {
    const toggle = () => { write({ ...here.query, columns: whole ? "" : "all" }); render(); };
    nodes.push(el("p", { class: "note" }, run.table.note), el("button", { onclick: toggle }, whole ? "Fewer columns" : "All columns"));
  }
  if (run.plots.length) {
    nodes.push(el("details", { class: "pictures" }, el("summary", {}, plural(run.plots.length, "plot")),
      el("div", { class: "figures" }, run.plots.map((name) => el("figure", {}, el("img", { src: source.plot(run.name, name), loading: "lazy", alt: name.replace(/_|\.png/g, " ") }))))));
  }
  return { nodes };
}

const toSamples = (run, arm) => hash(runPath(run.name, "samples"), { arm: arm.arm, seed: arm.seeds[0], filter: "selected" });

function armName(run, arm) {
  return [chip(arm.colour), arm.selects ? el("a", { href: toSamples(run, arm) }, arm.arm) : arm.arm,
    arm.baseline ? el("span", { class: "sub" }, "baseline") : null];
}

function armState(arm) {
  return el("td", { class: arm.state.includes("failed") ? "state-failed" : null }, arm.state,
    arm.differs.length ? el("span", { class: "sub" }, arm.differs.join("; ")) : null);
}

function reportTable(run, whole) {
  const brief = (column) => whole || column.brief || column.label === "seconds";
  const columns = run.table.columns.map((column, i) => ({ ...column, i })).filter((column) => column.i && brief(column));
  const unit = { seconds: "seconds (s)", money: "money (USD)" };
  const groups = [];
  for (const column of columns) {
    if (groups.length && groups.at(-1)[0] === column.group) groups.at(-1)[1] += 1;
    else groups.push([column.group, 1]);
  }
  const edge = (i) => i === 0 || columns[i].group !== columns[i - 1].group;
  const align = (column, i) => `${column.numeric ? "n" : ""}${edge(i) ? " edge" : ""}`;
  const rows = run.arms.map((arm) => {
    const cells = (run.table.rows.find((row) => row.arm === arm.arm) || { cells: [] }).cells;
    return el("tr", { class: arm.baseline ? "marked" : null }, el("th", { scope: "row" }, armName(run, arm)), armState(arm),
      columns.map((column, i) => {
        const cell = cells[column.i] || { text: "-", sub: "", tone: null };
        return el("td", { class: `${align(column, i)}${cell.tone ? ` tone-${cell.tone}` : ""}` }, cell.text,
          cell.sub ? el("span", { class: "sub" }, cell.sub) : null);
      }));
  });
  return el("div", { class: "scroll" }, el("table", { class: "arms" },
    el("thead", {},
      el("tr", { class: "group" }, el("th", { class: "group", colspan: 2 }), groups.map(([name, n]) => el("th", { class: "group edge", colspan: n }, name))),
      el("tr", {}, el("th", {}, "arm"), el("th", {}, "state"), columns.map((c, i) => el("th", { class: align(c, i), scope: "col" }, unit[c.label] || c.label)))),
    el("tbody", {}, rows)));
}

function plainTable(run) {
  return el("div", { class: "scroll small" }, el("table", { class: "arms" },
    el("thead", {}, el("tr", {}, ["arm", "state", "seeds"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, run.arms.map((arm) => el("tr", {}, el("th", { scope: "row" }, armName(run, arm)), armState(arm),
      el("td", {}, arm.seeds.map((seed) => seed ?? "-").join(", ")))))));
}

// ---------------------------------------------------------------- samples

const LIMIT = 50;
const SAMPLE_KEYS = ["arm", "seed", "filter", "other", "other_seed", "group", "tag", "source", "reason", "min", "max", "q", "sort", "offset"];
const armOf = (run, name) => run.arms.find((arm) => arm.arm === name);
const colourOf = (run, name) => (armOf(run, name) || { colour: "#8a9099" }).colour;

function sampleQuery(run) {
  const best = run.arms.find((arm) => arm.selects && !arm.baseline) || run.arms.find((arm) => arm.selects);
  const first = run.selections.find((one) => one.arm === best.arm);
  const query = { filter: "all", sort: "rank", ...here.query };
  if (!run.selections.some((one) => one.arm === query.arm)) Object.assign(query, { arm: first.arm, seed: first.seed ?? "" });
  if (query.seed === undefined) query.seed = run.selections.find((one) => one.arm === query.arm).seed ?? "";
  const split = ["both", "only_a", "only_b"].includes(query.filter);
  const held = run.selections.find((one) => one.arm === query.other);
  if (held && query.other_seed === undefined) query.other_seed = held.seed ?? "";
  if (split && !held) {
    const rival = run.selections.find((one) => one.arm !== query.arm) || first;
    Object.assign(query, { other: rival.arm, other_seed: rival.seed ?? "" });
  }
  return query;
}

async function samplesView(run) {
  let query = sampleQuery(run);
  const [choices, limits] = await Promise.all([source.choices(run.name, query), source.limits(run.name)]);
  const results = el("div", { id: "results" });
  async function show() {
    const mine = (show.last = (show.last || 0) + 1);
    results.classList.add("busy");
    try {
      const made = query.beside ? await besideResults(run, query, go) : await plainResults(run, query, go);
      if (mine === show.last) results.replaceChildren(...made);
    } catch (error) {
      results.replaceChildren(el("p", { class: "warning" }, `This could not be asked for. ${error.message}`));
    }
    results.classList.remove("busy");
  }
  const set = (changes, whole) => {
    query = { ...query, offset: "", ...changes };
    write(query);
    return whole ? render() : show();
  };
  const go = (offset) => { set({ offset: offset || "" }); results.scrollIntoView({ block: "start" }); };
  return {
    nodes: [limits ? el("p", { class: "note held" }, `This bundle has ${limits}.`) : null, sampleFilters(run, query, choices, set), results].filter(Boolean),
    start: async () => { await show(); if (query.open) await openSample(run, query.open); },
  };
}

function sampleFilters(run, query, choices, set) {
  const arms = run.selections.map((one) => [`${one.seed ?? ""}|${one.arm}`, titled(one)]);
  const parted = (value) => [value.slice(value.indexOf("|") + 1), value.slice(0, value.indexOf("|"))];
  const split = ["both", "only_a", "only_b"].includes(query.filter), two = run.selections.length > 1;
  const shown = [["all", "all rows of the pool"], ["selected", "selected"], ["discarded", "discarded"]];
  if (two) shown.push(["only_a", "by this arm alone"], ["only_b", "by the other alone"], ["both", "by both arms"]);
  const sorts = [["rank", "rank"], ["-score", "score, highest first"], ["score", "score, lowest first"], ["-words", "longest first"], ["words", "shortest first"], ["pool", "order of the pool"]];
  const score = (name, label) => el("input", { type: "number", step: "any", value: query[name] || "", placeholder: label, "aria-label": `${label} score`, onchange: (e) => set({ [name]: e.target.value }) });
  const search = later((value) => set({ q: value }), 150);
  return el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    el("label", { class: "wide" }, "search in prompt and response", el("input", { id: "search", type: "search", value: query.q || "", placeholder: "/", oninput: (e) => search(e.target.value) })),
    choice("arm", `${query.seed ?? ""}|${query.arm}`, arms, (v) => set({ arm: parted(v)[0], seed: parted(v)[1], group: "", tag: "", reason: "", min: "", max: "" }, true)),
    choice("rows", query.filter, shown, (v) => set({ filter: v, beside: "" }, true)),
    split ? choice("the other arm", `${query.other_seed ?? ""}|${query.other}`, arms, (v) => set({ other: parted(v)[0], other_seed: parted(v)[1] })) : null,
    choices.groups.length ? named("group", query.group || "", choices.groups, (v) => set({ group: v, beside: v ? query.beside : "" }, true)) : null,
    query.group ? el("button", { class: query.beside ? "on" : "", "aria-pressed": query.beside ? "true" : "false", onclick: () => set({ beside: query.beside ? "" : "1", filter: "all" }, true) }, "Kept beside discarded") : null,
    choices.tags.length ? named("tag", query.tag || "", choices.tags, (v) => set({ tag: v })) : null,
    choices.sources.length > 1 ? choice("source", query.source || "", [["", "any"], ...choices.sources.map((s) => [s.name, `${s.name} (${count(s.selected)} of ${count(s.rows)})`])], (v) => set({ source: v })) : null,
    choices.reasons.length > 1 ? choice("reason", query.reason || "", [["", "any"], ...choices.reasons.map((r) => [r.name, `${r.name} (${count(r.rows)})`])], (v) => set({ reason: v })) : null,
    choices.scores ? el("label", {}, `score, ${number(choices.scores[0])} to ${number(choices.scores[1])}`, el("span", { class: "pair" }, score("min", "least"), score("max", "most"))) : null,
    choice("sort by", query.sort, sorts, (v) => set({ sort: v })));
}

async function plainResults(run, query, go) {
  const page = await source.samples(run.name, { ...only(query, SAMPLE_KEYS), limit: LIMIT });
  return [
    el("div", { class: "line" }, el("span", { class: "count", role: "status" }, plural(page.total, "row")), legend(run)),
    sampleTable(run, page, query), pager(page, LIMIT, page.rows.length, go)];
}

async function besideResults(run, query, go) {
  const asked = (filter, sort) => source.samples(run.name, { ...only(query, SAMPLE_KEYS), filter, sort, limit: LIMIT });
  const best = query.sort === "rank" ? "-score" : query.sort; // what was discarded has no rank
  const [kept, left] = await Promise.all([asked("selected", query.sort), asked("discarded", best)]);
  const side = (title, page) => el("section", {}, el("h3", {}, `${title}: ${count(page.total)}`), sampleTable(run, page, query, true));
  const longer = kept.total > left.total ? kept : left;
  return [
    el("div", { class: "line" }, el("span", { class: "count", role: "status" }, query.group), legend(run)),
    el("div", { class: "beside" }, side("Kept", kept), side("Discarded", left)), pager(longer, LIMIT, 0, go)];
}

function legend(run) {
  const names = run.arms.filter((arm) => arm.selects).map((arm) => arm.arm);
  return el("span", { class: "legend" }, "selected by", names.map((name) => el("span", {}, chip(colourOf(run, name)), name)));
}

function dots(run, taken) {
  const by = new Map(run.arms.filter((arm) => arm.selects).map((arm) => [arm.arm, []]));
  run.selections.forEach((one, i) => by.set(one.arm, [...(by.get(one.arm) || []), ...(taken.includes(i) ? [titled(one)] : [])]));
  const said = [...by.values()].flat().join(", ") || "no arm";
  const many = by.size > 8; // colours repeat from there on, so that those of others would only confuse
  const drawn = [...by].filter(([, titles]) => !many || titles.length);
  return el("span", { class: many ? "dots many" : "dots", title: said, role: "img", "aria-label": `selected by ${said}` },
    drawn.map(([arm, titles]) => chip(colourOf(run, arm), null, !titles.length)));
}

function sampleTable(run, page, query, narrow) {
  if (!page.rows.length) return el("p", { class: "empty" }, "No row is like that. Fewer filters show more.");
  const has = (of) => page.rows.some(of);
  const columns = [
    ["rank", "n", has((r) => r.rank !== null), (r) => (r.rank === null ? "" : count(r.rank))],
    ["score", "n", has((r) => r.score !== null), (r) => [number(r.score), r.std_error !== null ? el("span", { class: "sub" }, `± ${number(r.std_error)}`) : null]],
    ["", "", run.selections.length > 1, (r) => dots(run, r.taken)],
    ["prompt and response", "text", true, (r) => [el("span", { class: "prompt" }, marked(r.prompt, query.q)), el("span", { class: "response" }, marked(r.response, query.q))]],
    ["group", "name", !narrow && has((r) => r.groups.length), (r) => r.groups.slice(0, 3).map((g) => el("span", { class: "tag" }, g))],
    ["tags", "name", !narrow && has((r) => r.tags.length), (r) => r.tags.slice(0, 5).map((t) => el("span", { class: "tag" }, t))],
    ["source", "name", !narrow && new Set(page.rows.map((r) => r.source)).size > 1, (r) => r.source],
    ["why", "name", !narrow && has((r) => r.reason), (r) => r.reason],
    ["words", "n", !narrow, (r) => count(r.words)],
    ["id", "id", !narrow, (r) => r.id],
  ].filter((column) => column[2]);
  const rows = page.rows.map((row, i) => el("tr", { tabIndex: i ? -1 : 0, "data-id": row.id, onclick: () => openSample(run, row.id) },
    columns.map(([name, kind, , made]) => el("td", { class: kind, "data-label": kind === "text" || !name ? null : name }, made(row)))));
  return el("div", { class: "scroll rows" }, el("table", {},
    el("thead", {}, el("tr", {}, columns.map(([name, kind]) => el("th", { class: kind === "n" ? "n" : null, scope: "col" }, name)))), el("tbody", {}, rows)));
}

// ---------------------------------------------------------------- one sample

let opened = null;

async function openSample(run, id) {
  let story;
  try { story = await source.story(run.name, id); } catch (error) { story = { id, error: error.message }; }
  opened = { run, id };
  write({ ...here.query, open: id });
  document.querySelectorAll(".rows tr.here").forEach((row) => row.classList.remove("here"));
  const row = rowOf(id);
  if (row) row.classList.add("here");
  dialog.replaceChildren(
    el("div", { class: "top" }, el("h2", {}, id), el("button", { onclick: () => step(-1), title: "k" }, "Previous"),
      el("button", { onclick: () => step(1), title: "j" }, "Next"), el("button", { autofocus: "", onclick: () => dialog.close(), title: "Escape" }, "Close")),
    el("div", { class: "inside" }, storyNodes(run, story)));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

const rowOf = (id) => [...document.querySelectorAll(".rows tr[data-id]")].find((row) => row.dataset.id === id);

function closeSample() {
  opened = null; // so that the address stays as it is
  if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  if (!opened) return;
  const row = rowOf(opened.id);
  opened = null;
  write({ ...here.query, open: "" });
  if (row) focusRow(row);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

function said(messages, words) {
  return messages.map((m) => el("div", { class: `said ${m.role}` }, el("b", {}, m.weight === 0 ? `${m.role} (context only)` : m.role), el("pre", {}, marked(m.content, words))));
}

function storyNodes(run, story) {
  if (story.error) return [el("p", { class: "warning" }, story.error)];
  if (!story.sample) return [el("p", {}, `Dropped before selecting: ${story.dropped}`)];
  const q = here.query.q;
  const rewritten = story.arms.filter((arm) => arm.rewritten);
  const own = said(story.sample.messages, q);
  const texts = rewritten.length
    ? rewritten.map((arm) => el("div", { class: "two" }, el("section", {}, el("h3", {}, "Original"), said(story.sample.messages, q)), el("section", {}, el("h3", {}, `Rewritten for ${titled(arm)}`), said(arm.rewritten, q))))
    : own;
  const facts = [["source", story.sample.source], ...Object.entries(story.sample.extra || {}).map(([k, v]) => [k, typeof v === "string" ? v : JSON.stringify(v)])].filter(([, v]) => v);
  return [texts, facts.length ? el("ul", { class: "meta" }, facts.map(([k, v]) => el("li", {}, `${k} `, el("b", {}, v)))) : null,
    el("h3", {}, "Why it was taken, or not"), [...story.arms].sort((a, b) => (b.arm === here.query.arm) - (a.arm === here.query.arm)).map((arm) => armStory(run, arm))];
}

function armStory(run, arm) {
  const box = el("section", { class: arm.selected ? "arm yes" : "arm" },
    el("h4", {}, chip(colourOf(run, arm.arm), null, !arm.selected), titled(arm)),
    el("p", {}, arm.why),
    arm.tags_before ? el("p", { class: "note" }, "tags ", arm.tags_before.map((t) => el("span", { class: "tag" }, t)), arm.tags_before.length ? "" : "none",
      arm.tags_after ? [" normalized ", arm.tags_after.map((t) => el("span", { class: "tag" }, t)), arm.tags_after.length ? "" : "none left"] : null) : null,
    arm.groups.length ? groupTable(run, arm) : null,
    arm.meetings.length ? el("ul", { class: "meetings" }, arm.meetings.map((m) => meeting(run, m))) : null);
  if (arm.selected) box.style.setProperty("--arm", colourOf(run, arm.arm));
  return box;
}

function groupTable(run, arm) {
  const link = (label) => hash(runPath(run.name, "samples"), { arm: arm.arm, seed: arm.seed, group: label, beside: "1" });
  return el("div", { class: "scroll small" }, el("table", {},
    el("thead", {}, el("tr", {}, ["group", "place", "members", "taken", "score here", "last taken"].map((name, i) => el("th", { class: i ? "n" : null, scope: "col" }, name)))),
    el("tbody", {}, arm.groups.map((g) => el("tr", {}, el("td", {}, el("a", { href: link(g.label), title: "Kept beside discarded" }, g.label)),
      [g.place === null ? "-" : count(g.place), count(g.members), count(g.selected), number(g.score), number(g.lowest_selected)].map((v) => el("td", { class: "n" }, v)))))));
}

function meeting(run, met) {
  const partners = met.partners.flatMap((p, i) => [i ? ", " : "", el("a", { href: "#", onclick: (e) => { e.preventDefault(); openSample(run, p.id); } }, p.id), ` (${number(p.score)})`]);
  return el("li", {}, el("b", {}, met.round < 0 ? "late" : `round ${met.round + 1}`), `: ${number(met.score)}${met.guest ? ", not counted" : ""}, shown ${["first", "second", "third", "fourth", "fifth"][met.place - 1] || `at ${met.place}`}, beside `,
    partners, met.error || met.feedback ? el("div", { class: "plain note" }, met.error || met.feedback) : null);
}

// ---------------------------------------------------------------- answers

const ANSWERS = 25;
const ANSWER_KEYS = ["arm", "seed", "other", "filter", "q", "offset"];

async function answersView(run) {
  const arms = run.arms.map((arm) => arm.arm).filter((name) => run.answered.includes(name));
  const rival = arms.find((name) => !armOf(run, name).baseline) || arms[0];
  let query = { arm: rival, other: run.baseline && run.baseline !== rival && arms.includes(run.baseline) ? run.baseline : arms.find((a) => a !== rival) || "", filter: "all", ...here.query };
  const results = el("div", { id: "results" });
  async function show() {
    const page = await source.answers(run.name, { ...only(query, ANSWER_KEYS), limit: ANSWERS });
    results.replaceChildren(el("div", { class: "line" }, el("span", { class: "count", role: "status" }, plural(page.total, "question"))),
      el("div", { class: "cards" }, page.questions.map((one, i) => question(run, one, query, i))), pager(page, ANSWERS, 0, go));
    if (!page.total) results.append(el("p", { class: "empty" }, "No question is like that."));
  }
  const set = (changes) => { query = { ...query, offset: "", ...changes }; write(query); return show(); };
  const go = (offset) => { set({ offset: offset || "" }); results.scrollIntoView({ block: "start" }); };
  const seeds = [...new Set(run.arms.flatMap((arm) => arm.runs.map((one) => one.seed)))];
  const search = later((value) => set({ q: value }), 150), names = arms.map((name) => [name, name]);
  const filters = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    el("label", { class: "wide" }, "search in questions and answers", el("input", { id: "search", type: "search", value: query.q || "", placeholder: "/", oninput: (e) => search(e.target.value) })),
    choice("arm", query.arm, names, (v) => set({ arm: v })), choice("beside", query.other, [["", "none"], ...names], (v) => set({ other: v })),
    choice("questions", query.filter, [["all", "all"], ["disagree", "the two came out differently"], ["flipped", "verdict changed with the order"]], (v) => set({ filter: v })),
    seeds.length > 1 ? choice("seed", query.seed ?? String(seeds[0]), seeds.map((seed) => [String(seed), String(seed)]), (v) => set({ seed: v })) : null,
    choice("answers of", query.every || "", [["", "these two arms"], ["1", "every arm"]], (v) => set({ every: v })));
  return { nodes: [filters, results], start: show };
}

function question(run, one, query, i) {
  const first = (a) => (a.arm === query.arm ? 0 : a.arm === query.other ? 1 : 2);
  const shown = one.answers.filter((a) => query.every || first(a) < 2).sort((a, b) => first(a) - first(b));
  const about = [one.set, one.category, one.answer ? `expected: ${one.answer}` : one.reference ? `reference: ${one.reference}` : ""].filter(Boolean).join(" · ");
  return el("article", { class: "question", tabIndex: i ? -1 : 0 }, el("h3", {}, marked(one.turns.join("\n\n"), query.q)), about ? el("div", { class: "note plain" }, about) : null,
    shown.map((answer) => el("div", { class: "answer" },
      el("span", { class: "who" }, chip(colourOf(run, answer.arm)), answer.arm),
      el("div", { class: "plain" }, marked(answer.turns.join("\n\n"), query.q)),
      verdicts(run, answer))));
}

function verdicts(run, answer) {
  const tone = { win: "better", lose: "worse" }[answer.result] || "unclear";
  const scores = (order) => (order.error ? "not read" : `${number(order.own)} : ${number(order.baseline)}`);
  return el("div", { class: "verdicts" },
    answer.exact_match === null ? null : el("span", { class: `tone-${answer.exact_match ? "better" : "worse"}` }, answer.exact_match ? "exact" : "not exact"),
    answer.result ? el("b", { class: `tone-${tone}` }, `${answer.result}${run.baseline ? ` against ${run.baseline}` : ""}`) : null,
    answer.orders.length ? el("span", { title: answer.orders.map((o) => o.raw || o.error || "").filter(Boolean).join("\n\n") || null }, `first ${scores(answer.orders[0])}${answer.orders[1] ? `, second ${scores(answer.orders[1])}` : ""}`) : null,
    answer.flipped ? el("span", { class: "tone-worse" }, " changed with the order") : null);
}

// ---------------------------------------------------------------- keys

const movable = () => [...main.querySelectorAll(".rows tbody tr, .question")];

function focusRow(row) {
  movable().forEach((one) => { one.tabIndex = -1; });
  row.tabIndex = 0;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const rows = movable(), open = opened && rowOf(opened.id);
  const at = rows.indexOf(open || document.activeElement);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  if (!next) return;
  if (dialog.open) openSample(opened.run, next.dataset.id);
  else focusRow(next);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  const by = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "/" && !dialog.open) {
    const search = document.getElementById("search");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (by && (!dialog.open || event.key === "j" || event.key === "k") && movable().length) {
    event.preventDefault();
    step(by);
  } else if (event.key === "Enter" && event.target.matches(".rows tbody tr")) {
    event.preventDefault();
    event.target.click();
  }
});

source = document.body.dataset.source === "bundle" ? bundleSource() : serverSource();
window.addEventListener("hashchange", render);
render();
