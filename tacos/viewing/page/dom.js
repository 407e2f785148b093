// Building the page: elements, small controls, numbers and addresses. Every text of a run is inserted as a text node,
// never as HTML.
"use strict";

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
const minute = (written) => written.replace("T", " ").slice(0, 16);
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
