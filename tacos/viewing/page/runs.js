// The list of runs, and the arms of one.
"use strict";

const LOOK_AGAIN = 2000; // milliseconds, while something works
const SIGNS = { done: "✓", finished: "✓", working: "▶", stopped: "■", waiting: "·" };

const duration = (s) => (s < 0.05 ? "0 s" : s < 10 ? `${s.toFixed(1)} s` : s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
const dollars = (used) => {
  const known = used.cost_usd ? `$${used.cost_usd < 0.01 ? used.cost_usd.toPrecision(1) : used.cost_usd.toFixed(2)}` : used.unpriced_calls ? "" : "$0";
  return used.unpriced_calls ? `${known} + unpriced` : known;
};
const cost = (used) => duration(used.seconds) + (used.cost_usd || used.unpriced_calls ? `, ${dollars(used)}` : "");
const stateOf = (name, said) => el("span", { class: `state ${name}` }, el("span", { "aria-hidden": "true" }, SIGNS[name]), ` ${said || name}`);

async function runsView() {
  const runs = await source.runs();
  bar(null);
  if (runs.length === 1 && !location.hash) { location.replace(hash(runPath(runs[0].name))); return { nodes: [] }; }
  const alone = runs.filter((run) => !run.experiment);
  const experiments = [...new Set(runs.map((run) => run.experiment))].filter(Boolean);
  const nodes = experiments.flatMap((name) => [el("h2", {}, name), runTable(runs.filter((run) => run.experiment === name), "cell")]);
  if (alone.length) nodes.push(el("h2", {}, "Runs"), runTable(alone, "run"));
  return { nodes, works: runs.some((run) => run.progress.state === "working") };
}

function runTable(runs, what) {
  const heads = [[what], ["state"], ["stages", "n"], ["time", "n"], ["money (USD)", "n"], ["arms"], ["found"], ["written"]];
  const rows = runs.map((run) => {
    const p = run.progress, name = run.cell || run.name;
    return el("tr", {}, el("th", { scope: "row" }, p.of ? el("a", { href: hash(runPath(run.name)) }, name) : name),
      el("td", {}, stateOf(p.state)), el("td", { class: "n" }, p.of ? `${count(p.done)} of ${count(p.of)}` : "-"),
      el("td", { class: "n" }, p.of ? duration(p.usage.seconds) : "-"), el("td", { class: "n" }, p.of ? dollars(p.usage) : "-"),
      el("td", { class: "long" }, run.arms.join(", ")), el("td", { class: "long" }, run.verdict || (run.measures.length ? run.measures.join(", ") : "")),
      el("td", { class: "nowrap" }, run.created ? minute(run.created) : "-"));
  });
  return el("div", { class: "scroll" }, el("table", { class: "runs" },
    el("thead", {}, el("tr", {}, heads.map(([head, kind]) => el("th", { class: kind || null, scope: "col" }, head)))), el("tbody", {}, rows)));
}

async function runView() {
  const run = await source.overview(here.run);
  bar(run);
  if (here.part === "samples") return samplesView(run);
  if (here.part === "map") return mapView(run);
  if (here.part === "answers") return answersView(run);
  return { ...armsView(run), works: run.progress.state === "working" };
}

function armsView(run) {
  const whole = here.query.columns === "all";
  const nodes = [];
  if (run.verdict) {
    nodes.push(el("section", { class: `headline ${run.tone}` }, el("p", { class: "verdict" }, run.verdict), el("p", {}, run.paragraph)));
  }
  const facts = [["pool", plural(run.pool, "row")], ["questions", run.questions ? count(run.questions) : ""], ["written", minute(run.created)]];
  nodes.push(el("ul", { class: "meta" }, facts.filter(([, v]) => v).map(([k, v]) => el("li", {}, `${k} `, el("b", {}, v))),
    run.report ? el("li", {}, el("a", { href: source.report(run.name) }, "Report")) : null));
  const open = run.progress.state !== "finished" || !run.table;
  nodes.push(el("h2", {}, "Arms"));
  if (open) nodes.push(...stepsTable(run));
  if (run.table) {
    nodes.push(reportTable(run, whole));
    const toggle = () => { write({ ...here.query, columns: whole ? "" : "all" }); render(); };
    nodes.push(el("p", { class: "note" }, run.table.note), el("button", { onclick: toggle }, whole ? "Fewer columns" : "All columns"));
  }
  if (!open) nodes.push(el("details", { class: "steps" }, el("summary", {}, "What each step took"), stepsTable(run).slice(1)));
  if (run.plots.length) {
    nodes.push(el("details", { class: "pictures" }, el("summary", {}, plural(run.plots.length, "plot")),
      el("div", { class: "figures" }, run.plots.map((name) => el("figure", {}, el("img", { src: source.plot(run.name, name), loading: "lazy", alt: name.replace(/_|\.png/g, " ") }))))));
  }
  return { nodes };
}

function stepsTable(run) {
  const p = run.progress;
  const cell = (step) => {
    if (!step) return el("td", { class: "none" }, "");
    const busy = step.state === "working" || step.state === "stopped";
    const used = step.done || step.state === "working" ? cost(step.usage) : "";
    return el("td", {}, stateOf(step.state, busy ? `${step.now}${step.state === "stopped" ? ", stopped" : ""}` : ""),
      el("span", { class: "sub" }, step.state === "done" ? used : `${step.done} of ${step.of} stages${used ? `, ${used}` : ""}`));
  };
  const rows = p.arms.map((arm) => el("tr", {}, el("th", { scope: "row" }, chip(colourOf(run, arm.arm)), selectionLink(run, arm)), p.steps.map((name) => cell(arm.steps[name]))));
  return [
    el("p", { class: "line", role: "status" }, stateOf(p.state), ` ${count(p.done)} of ${plural(p.of, "stage")}, ${cost(p.usage)}`),
    el("div", { class: "scroll" }, el("table", { class: "steps" },
      el("thead", {}, el("tr", {}, ["arm", ...p.steps.map((name) => name.replace(/_/g, " "))].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows))),
    el("p", { class: "note" }, "Time and money as first paid; what arms share is counted in each, and once in the sum.")];
}

function selectionLink(run, arm) {
  const selected = run.selections.some((one) => one.arm === arm.arm && one.seed === arm.seed);
  return selected ? el("a", { href: toSamples(run, arm.arm, arm.seed) }, titled(arm)) : titled(arm);
}

const toSamples = (run, arm, seed) => hash(runPath(run.name, "samples"), { arm, seed, filter: "selected" });

function armName(run, arm) {
  return [chip(arm.colour), arm.selects ? el("a", { href: toSamples(run, arm.arm, arm.seeds[0]) }, arm.arm) : arm.arm,
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
