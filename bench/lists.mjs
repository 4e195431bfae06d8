// What an organiser waits for with 100,000 invitees: pages of the list, searches, filters, counts, and the list taken away.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { median, quantile } from "./lib/bars.mjs";
import { digits, list, name, read, upload } from "./lib/list.mjs";
import { Postgres } from "./lib/postgres.mjs";
import { sleep, usage } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const MIB = 2 ** 20;
// Rows of a page as the control room asks for them.
const PAGE = 100;

// Five tags, states as in an evening that is being prepared: some wait for their message, some were withdrawn.
async function fill(server, event, rows) {
  const share = rows / 5;
  for (let part = 0; part < 5; part += 1) {
    const made = await upload(server, event, list({ rows: share, from: part * share }));
    const done = await read(server, event, made, { tags: [`group-${part}`, "all"] });
    if (done.created !== share) throw new Error(`${done.created} of ${share} people were invited: ${JSON.stringify(done)}`);
  }
  const filter = { tags: ["group-1"] };
  await server.api("POST", `/events/${event}/sends`, { selection: { filter }, channel: "sms", kind: "invitation" });
  const some = { filter: { search: "Olga", tags: ["group-3"] } };
  await server.api("POST", `/events/${event}/invitations/revoke`, { selection: some });
  for (let tries = 0; ; tries += 1) {
    const { by_state } = await server.api("GET", `/events/${event}/invitations?limit=1`);
    if (by_state.queued + by_state.sent + by_state.failed === share) return by_state;
    if (tries > 600) throw new Error(`the messages are not made after a minute: ${JSON.stringify(by_state)}`);
    await sleep(100);
  }
}

async function look(server, event, query) {
  const started = process.hrtime.bigint();
  const page = await server.api("GET", `/events/${event}/invitations?${new URLSearchParams(query)}`);
  return { page, ms: Number(process.hrtime.bigint() - started) / 1e6 };
}

// Where page 500 begins.
async function deep(server, event, rows) {
  let cursor;
  for (let at = 0; at < rows / 2; at += 500) {
    const { page } = await look(server, event, { limit: 500, ...(cursor ? { cursor } : {}) });
    cursor = page.next_cursor;
  }
  return cursor;
}

async function asked(server, bars, event, { rows, where, times }) {
  const cursor = await deep(server, event, rows);
  const at = (turn) => (turn * 48_271 + 11) % rows;
  const questions = {
    "the first page with its counts": [() => ({ limit: PAGE }), (page) => page.data.length === PAGE],
    [`page ${rows / 2 / PAGE}`]: [() => ({ limit: PAGE, cursor }), (page) => page.data.length === PAGE],
    "a search by name": [(turn) => ({ limit: PAGE, search: name(at(turn)) }), (page) => page.matching >= 1],
    "a search for a common name": [() => ({ limit: PAGE, search: "olga" }), (page) => page.matching === rows / 16],
    "a search by number": [(turn) => ({ limit: PAGE, search: `+336${digits(at(turn))}` }), (page) => page.matching === 1],
    "a search that finds nobody": [(turn) => ({ limit: PAGE, search: `zz${turn}` }), (page) => page.matching === 0],
    "one state": [() => ({ limit: PAGE, states: "revoked" }), (page) => page.data.length === PAGE],
    "a tag": [(turn) => ({ limit: PAGE, tags: `group-${turn % 5}` }), (page) => page.matching === rows / 5],
    "a state and a tag": [() => ({ limit: PAGE, states: "revoked", tags: "group-3" }), (page) => page.matching > 0],
    "a tag that everybody has": [() => ({ limit: PAGE, tags: "all", states: "created" }), (page) => page.matching > 0],
    "a language": [() => ({ limit: PAGE, languages: "en" }), (page) => page.data.length === PAGE],
  };
  const figures = {};
  for (const [question, [query, fits]] of Object.entries(questions)) {
    const spent = [];
    for (let turn = -5; turn < times; turn += 1) {
      const { page, ms } = await look(server, event, query(turn + 5));
      if (!fits(page)) throw new Error(`${question}: ${JSON.stringify({ ...page, data: page.data.length })}`);
      if (turn >= 0) spent.push(ms);
    }
    figures[question] = { p50: median(spent), p95: quantile(spent, 0.95) };
    bars.add(`${rows} invitees, ${where}: ${question}, p95 of ${times}`, figures[question].p95, {
      most: 100,
      unit: "ms",
      digits: 1,
      peer: `p50 ${figures[question].p50.toFixed(1)} ms`,
    });
  }
  return figures;
}

// The whole list taken away: how long it takes, and what of the server's memory grows meanwhile.
async function taken(server, bars, event, { rows, where, format }) {
  const before = usage(server.pid).rss;
  let most = before;
  let bytes = 0;
  const started = process.hrtime.bigint();
  const response = await fetch(`${server.origin}/api/v1/events/${event}/invitations/export?format=${format}`, {
    headers: { authorization: `Bearer ${server.demo.api_token}` },
  });
  if (!response.ok) throw new Error(`export: ${response.status} ${await response.text()}`);
  for await (const piece of response.body) {
    bytes += piece.length;
    most = Math.max(most, usage(server.pid).rss);
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  bars.add(`${rows} invitees, ${where}: taken away as ${format}: memory`, (most - before) / MIB, {
    most: 16,
    unit: "MiB",
    digits: 1,
    peer: `${(bytes / MIB).toFixed(1)} MiB in ${seconds.toFixed(1)} s`,
  });
  return { seconds, bytes };
}

// Acts on everybody at once: how long they take, and how long somebody waits who writes meanwhile.
async function everybody(server, bars, event, { rows, where }) {
  const figures = {};
  for (const [act, body] of [["tags", { add: ["everybody"] }], ["revoke", {}]]) {
    let busy = true;
    const waits = [];
    const others = (async () => {
      while (busy) {
        const asked = performance.now();
        await server.api("POST", "/events", { title: "Meanwhile" });
        waits.push(performance.now() - asked);
        await sleep(50);
      }
    })();
    const started = performance.now();
    const done = await server.api("POST", `/events/${event}/invitations/${act}`, { selection: { filter: {} }, ...body });
    figures[act] = { seconds: (performance.now() - started) / 1e3, ...done };
    busy = false;
    await others;
    bars.add(`${rows} invitees, ${where}: ${act === "tags" ? "a tag for everybody" : "everybody withdrawn"}`, figures[act].seconds, {
      most: 60,
      unit: "s",
      digits: 1,
      peer: `${done.changed} people; who writes meanwhile waits p50 ${median(waits).toFixed(0)}, at most ${Math.max(...waits).toFixed(0)} ms`,
    });
  }
  return figures;
}

async function on(where, env, { bars, folder, quick }) {
  mkdirSync(folder);
  const server = await Stagedoor.start(folder, { env });
  const rows = quick ? 10_000 : 100_000;
  const event = (await server.event("Evening", "low")).id;
  const states = await fill(server, event, rows);
  await sleep(2_000);
  const figures = { states, asked: await asked(server, bars, event, { rows, where, times: quick ? 20 : 200 }) };
  for (const format of ["csv", "xlsx"]) figures[format] = await taken(server, bars, event, { rows, where, format });
  figures.everybody = await everybody(server, bars, event, { rows, where });
  bars.keep(`lists, ${where}`, figures);
  await server.stop();
}

export async function measure({ bars, scratch, quick }) {
  await on("SQLite", {}, { bars, folder: join(scratch, "lists-sqlite"), quick });
  const postgres = await Postgres.start();
  if (postgres === null) {
    console.log("   PostgreSQL is not installed: lists on it are not measured");
    return;
  }
  try {
    await on("PostgreSQL", { STAGEDOOR_DATABASE_URL: postgres.url }, { bars, folder: join(scratch, "lists-postgres"), quick });
  } finally {
    postgres.remove();
  }
}
