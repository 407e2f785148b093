// Answers side by side, with what the judge said.
"use strict";

const ANSWERS = 25;
const SET_NAMES = { mt_bench: "MT-Bench", alpaca_eval: "AlpacaEval 2" };
const ANSWER_KEYS = ["of", "arm", "seed", "other", "filter", "q", "offset"];

async function answersView(run) {
  const arms = run.arms.map((arm) => arm.arm).filter((name) => run.answered.includes(name));
  const rival = arms.find((name) => !armOf(run, name).baseline) || arms[0];
  let query = { arm: rival, other: run.baseline && run.baseline !== rival && arms.includes(run.baseline) ? run.baseline : arms.find((a) => a !== rival) || "", filter: "all", ...here.query };
  if (!run.sets.includes(query.of ?? "")) query.of = run.sets.find((name) => name) ?? "";
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
    run.sets.length > 1 ? choice("question set", query.of ?? run.sets[0], run.sets.map((name) => [name, name ? SET_NAMES[name] || name : "the run's own"]), (v) => set({ of: v })) : null,
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
      verdicts(answer))));
}

function verdicts(answer) {
  const tone = { win: "better", lose: "worse" }[answer.result] || "unclear";
  const spoken = answer.verdicts.filter((one) => one.words);
  return [el("div", { class: "verdicts" },
    answer.exact_match === null ? null : el("span", { class: `tone-${answer.exact_match ? "better" : "worse"}` }, answer.exact_match ? "exact" : "not exact"),
    answer.result ? el("b", { class: `tone-${tone}` }, answer.result) : null,
    answer.verdicts.map((one) => el("span", { class: "one" }, `${one.label} ${one.text}`)),
    answer.flipped ? el("span", { class: "tone-worse" }, "changed with the order") : null),
  spoken.length ? el("details", { class: "words" }, el("summary", {}, "What the judge wrote"), spoken.map((one) => [el("b", {}, one.label), el("div", { class: "plain" }, one.words)])) : null];
}
