// The samples of a pool as an arm saw them.
"use strict";

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

function armChoice(run, label, arm, seed, take) {
  // One selection of the run; take is given its arm and its seed.
  const key = (one) => `${one.seed ?? ""}|${one.arm}`;
  return choice(label, key({ arm, seed }), run.selections.map((one) => [key(one), titled(one)]),
    (value) => take(value.slice(value.indexOf("|") + 1), value.slice(0, value.indexOf("|"))));
}

function sampleFilters(run, query, choices, set) {
  const split = ["both", "only_a", "only_b"].includes(query.filter), two = run.selections.length > 1;
  const shown = [["all", "all rows of the pool"], ["selected", "selected"], ["discarded", "discarded"]];
  if (two) shown.push(["only_a", "by this arm alone"], ["only_b", "by the other alone"], ["both", "by both arms"]);
  const sorts = [["rank", "rank"], ["-score", "score, highest first"], ["score", "score, lowest first"], ["-words", "longest first"], ["words", "shortest first"], ["pool", "order of the pool"]];
  const score = (name, label) => el("input", { type: "number", step: "any", value: query[name] || "", placeholder: label, "aria-label": `${label} score`, onchange: (e) => set({ [name]: e.target.value }) });
  const search = later((value) => set({ q: value }), 150);
  return el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    el("label", { class: "wide" }, "search in prompt and response", el("input", { id: "search", type: "search", value: query.q || "", placeholder: "/", oninput: (e) => search(e.target.value) })),
    armChoice(run, "arm", query.arm, query.seed, (arm, seed) => set({ arm, seed, group: "", tag: "", reason: "", min: "", max: "" }, true)),
    choice("rows", query.filter, shown, (v) => set({ filter: v, beside: "" }, true)),
    split ? armChoice(run, "the other arm", query.other, query.other_seed, (other, other_seed) => set({ other, other_seed })) : null,
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
