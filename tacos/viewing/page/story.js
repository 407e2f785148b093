// One sample with everything that is known of it.
"use strict";

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
