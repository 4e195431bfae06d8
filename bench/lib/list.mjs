// A list of invitees as an organiser brings it, and how it is read in.

import { sleep } from "./process.mjs";

const FIRST = "Ada Bob Chloé Dora Émile Farid Greta Hugo Inès Jörg Karim Léa Mina Noah Olga Paul".split(" ");
const LAST = "Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Müller Nowak Rossi García".split(" ");

// The digits of somebody's number behind +336, of the ranges that France has given to mobiles: another for each.
export function digits(at) {
  return "1204"[Math.floor(at / 1e7) % 4] + String((at * 7919) % 1e7).padStart(7, "0");
}

export function name(at) {
  return `${FIRST[at % FIRST.length]} ${LAST[at % LAST.length]} ${at}`;
}

// Numbers as four spreadsheets write them; each row is somebody else.
function row(at) {
  const number = digits(at);
  const pairs = number.match(/../g).join(" ");
  const phone = [`06 ${pairs}`, `+33 6 ${pairs}`, `00336${number}`, `06${number}`][at % 4];
  return `${name(at)},${phone},guest${at}@example.org,${at % 3 ? "fr" : "en"},${at % 5 ? "" : `table ${at % 40}`}\n`;
}

// A list of so many rows or bytes from row `from` on, in pieces of about 64 KiB, never whole in memory.
export async function* list({ rows = Infinity, bytes = Infinity, from = 0 }) {
  let piece = "Name,Phone,E-mail,Language,Note\n";
  let sent = 0;
  for (let at = from; at < from + rows; at += 1) {
    piece += row(at);
    if (piece.length >= 65_536) {
      const chunk = Buffer.from(piece);
      if (sent + chunk.length > bytes) return;
      sent += chunk.length;
      yield chunk;
      piece = "";
    }
  }
  yield Buffer.from(piece);
}

export async function upload(server, event, body) {
  const response = await fetch(`${server.origin}/api/v1/events/${event}/imports?name=bench.csv`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.demo.api_token}`, "content-type": "text/csv" },
    body: ReadableStream.from(body),
    duplex: "half",
  });
  if (!response.ok) throw new Error(`upload: ${response.status} ${await response.text()}`);
  return response.json();
}

// Reads a list to its end, or until `until` says that it is enough.
export async function read(server, event, made, { until = () => false, tags = ["bench"] } = {}) {
  const path = `/events/${event}/imports/${made.id}`;
  const mapping = { name: 0, phone: 1, email: 2, language: 3, note: 4 };
  await server.api("POST", `${path}/start`, { mapping, default_country: "FR", language: "fr", tags });
  for (;;) {
    const state = await server.api("GET", path);
    if (state.state !== "running" || until(state)) return state;
    await sleep(50);
  }
}
