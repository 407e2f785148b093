// Where we are, all of it in the hash; keys; and the start.
"use strict";

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
  clearTimeout(show.timer);
  here = read();
  closeSample();
  try {
    const view = here.run === null ? await runsView() : await runView();
    if (mine !== rendered) return;
    show(view);
    if (view.start) await view.start();
  } catch (error) {
    if (mine === rendered) main.replaceChildren(el("p", { class: "warning" }, `This could not be shown. ${error.message}`));
  }
  document.body.dataset.ready = "yes";
}

function show(view) {
  main.replaceChildren(...view.nodes);
  clearTimeout(show.timer);
  if (view.works && source.live) show.timer = setTimeout(lookAgain, LOOK_AGAIN);
}

async function lookAgain() {
  // What works is looked at again; where nothing changed but the time, the reader keeps the place.
  const mine = rendered;
  try {
    const view = here.run === null ? await runsView() : await runView();
    if (mine === rendered) show(view);
  } catch (error) {
    if (mine === rendered) show.timer = setTimeout(lookAgain, 5 * LOOK_AGAIN); // the server may be back
  }
}

function bar(run) {
  const where = document.getElementById("where");
  document.title = run ? `${run.name} - tacos view` : "tacos view";
  if (!run) { where.replaceChildren(); return; }
  const link = (part, name) => el("a", { href: hash(runPath(run.name, part)), "aria-current": here.part === (part || "arms") ? "page" : null }, name);
  where.replaceChildren(
    el("span", { class: "run" }, run.name), link("", "Arms"),
    ...(run.selections.length ? [link("samples", "Samples")] : []),
    ...(run.mapped ? [link("map", "Map")] : []),
    ...(run.answered.length ? [link("answers", "Answers")] : []));
}

// keys

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
