// Where data comes from: the server, or the scripts of a bundle; the rest does not know which.
"use strict";

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
    live: true,
    runs: () => ask(""),
    overview: (run) => ask(at(run)),
    choices: (run, query) => ask(`${at(run)}/choices`, { arm: query.arm, seed: query.seed }),
    samples: (run, query) => ask(`${at(run)}/samples`, query),
    story: (run, id) => ask(`${at(run)}/samples/${encodeURIComponent(id)}`),
    map: (run, query) => ask(`${at(run)}/map`, { arm: query.arm, seed: query.seed }),
    answers: (run, query) => ask(`${at(run)}/answers`, query),
    plot: (run, name) => `/plots${at(run)}/${encodeURIComponent(name)}`,
    report: (run) => `/reports${at(run)}`,
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
    live: false,
    runs: () => load("runs"),
    overview: (run) => part(run, "overview"),
    choices: async (run, query) => (await part(run, "samples")).arms[armKey(query)].choices,
    samples: async (run, query) => pageOf(await part(run, "samples"), query),
    story: async (run, id) => {
      const held = await part(run, "samples"), row = held.rows.findIndex((one) => one.id === id);
      if (row < 0) throw new Error(`the bundle does not hold ${id}: it has ${held.limits}`);
      return (await part(run, `stories-${Math.floor(row / held.chunk)}`))[row % held.chunk];
    },
    map: async (run, query) => mapOf(await part(run, "map"), await part(run, "samples"), query),
    answers: async (run, query) => answersOf(await part(run, `answers-${(await part(run, "overview")).sets.indexOf(query.of || "")}`), query),
    plot: (run, name) => `plots/${encodeURIComponent(run)}/${encodeURIComponent(name)}`,
    report: (run) => `reports/${encodeURIComponent(run)}.html`,
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

// What tacos/viewing/map.py does.
function mapOf(drawn, held, query) {
  const own = held.arms[armKey(query)].rows;
  return {
    places: drawn.places, ...drawn.arms[armKey(query)],
    ids: held.rows.map((row) => row.id), taken: held.rows.map((row) => row.taken), scores: own.map((row) => row.score),
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
  if (own.value !== null && other.value !== null && own.value !== other.value) return true;
  const a = own.result || "tie", b = other.result || "tie";
  return a !== "unparsed" && b !== "unparsed" && a !== b;
}
