// Lists of invitees through a real spreadsheet: taken away, opened and saved by LibreOffice, and imported again. What counts
// is who is not the same afterwards.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output, sleep } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const OFFICE = ["/usr/bin/soffice", "/usr/bin/libreoffice"].find(existsSync);
const KINDS = { csv: "text/csv", xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" };
// Mobile numbers of countries whose numbers differ in length and in what they begin with; `#` is a digit.
const NUMBERS = [
  "+336123#####", "+447400######", "+154175#####", "+4915112######", "+819012######", "+55119612#####", "+39312345####",
  "+35385012####", "+346123#####", "+4178123####", "+48512345###", "+316123#####", "+9181234#####", "+61412345###",
  "+4670123####",
];
const NAMES = ["Ada Lovelace", "=1+1", "@SUM(A1:A9)", "+cmd|' /C calc'!A0", "-2+3", "O'Brien; \"Óscar\", Jr.", "Žofie"];
const NOTES = ["", "front row", "- wheelchair\n- two guests, vegan", "=HYPERLINK(\"https://evil.example\",\"x\")", "0033", "1E5", "03/04"];
// LibreOffice's names of what it writes, and of text: comma, quotation mark, UTF-8.
const TEXT = "Text - txt - csv (StarCalc):44,34,76,1";
const WAYS = [["csv", "csv"], ["csv", "xlsx"], ["xlsx", "csv"], ["xlsx", "xlsx"]];

const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`;

function people(each) {
  const rows = [];
  for (const [country, pattern] of NUMBERS.entries()) {
    for (let at = 0; at < each; at += 1) {
      const digits = String((at * 7_919 + country) % 10 ** (pattern.split("#").length - 1)).padStart(6, "0");
      let left = digits.length - (pattern.split("#").length - 1);
      const phone = pattern.replaceAll("#", () => digits[left++] ?? "0");
      const number = rows.length;
      rows.push([`${NAMES[number % NAMES.length]} ${number}`, phone, `guest${number}@example.org`, "fr", NOTES[number % NOTES.length]]);
    }
  }
  return rows;
}

async function bring(server, event, kind, file) {
  const response = await fetch(`${server.origin}/api/v1/events/${event}/imports?name=list.${kind}`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.demo.api_token}`, "content-type": KINDS[kind] },
    body: file,
  });
  if (!response.ok) throw new Error(`upload of ${kind}: ${response.status} ${await response.text()}`);
  const { id, mapping } = await response.json();
  const path = `/events/${event}/imports/${id}`;
  await server.api("POST", `${path}/start`, { mapping });
  for (;;) {
    const state = await server.api("GET", path);
    if (state.state !== "running") return state;
    await sleep(50);
  }
}

async function take(server, event, format) {
  const response = await fetch(`${server.origin}/api/v1/events/${event}/invitations/export?format=${format}`, {
    headers: { authorization: `Bearer ${server.demo.api_token}` },
  });
  if (!response.ok) throw new Error(`export: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

// Everybody in the clear, by the list's own pages: the sheets are what is tested.
async function everybody(server, event) {
  const all = [];
  for (let cursor = ""; cursor !== undefined; ) {
    const query = `reveal=true&limit=500${cursor && `&cursor=${cursor}`}`;
    const { data, next_cursor } = await server.api("GET", `/events/${event}/invitations?${query}`);
    all.push(...data.map((one) => [one.name, one.phone, one.email, one.language, one.note].map((cell) => cell ?? "")));
    cursor = next_cursor ?? undefined;
  }
  return all.map((row) => JSON.stringify(row)).sort();
}

async function convert(folder, from, to) {
  const into = join(folder, `${from}-${to}`);
  mkdirSync(into, { recursive: true });
  const source = join(folder, `invitees.${from}`);
  const reading = from === "csv" ? [`--infilter=${TEXT}`] : [];
  const writing = to === "csv" ? `csv:${TEXT}` : "xlsx:Calc MS Excel 2007 XML";
  const profile = `-env:UserInstallation=file://${join(folder, "profile")}`;
  await output(OFFICE, [profile, "--headless", ...reading, "--convert-to", writing, "--outdir", into, source]);
  return readFileSync(join(into, `invitees.${to}`));
}

export async function measure({ bars, scratch, quick }) {
  if (OFFICE === undefined) {
    console.log("   LibreOffice is not installed (apt-get install --no-install-recommends libreoffice-calc): not measured");
    return;
  }
  const folder = join(scratch, "sheets");
  mkdirSync(folder);
  const server = await Stagedoor.start(join(folder, "data"));
  const rows = people(quick ? 10 : 200);
  const event = (await server.event("Evening", "low")).id;
  const words = ["Name", "Phone", "E-mail", "Language", "Note"];
  const list = [words, ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
  const { state, created, errors } = await bring(server, event, "csv", list);
  if (state !== "done" || created !== rows.length) throw new Error(`${state}: ${created} of ${rows.length} people, ${errors} errors`);
  const before = await everybody(server, event);
  for (const format of Object.keys(KINDS)) writeFileSync(join(folder, `invitees.${format}`), await take(server, event, format));

  for (const [from, to] of WAYS) {
    const other = (await server.event(`${from} to ${to}`, "low")).id;
    const read = await bring(server, other, to, await convert(folder, from, to));
    const after = (await everybody(server, other)).map((row) => JSON.parse(row));
    const identity = ([name, phone]) => JSON.stringify([name, phone]);
    const found = new Set(after.map(identity));
    const whole = new Set(after.map((row) => JSON.stringify(row)));
    const lost = before.filter((person) => !found.has(identity(JSON.parse(person))));
    const changed = before.filter((person) => !whole.has(person));
    if (changed.length > 0) console.log(`   not the same, for one: ${changed[0]}`);
    const way = `${rows.length} people, ${from} opened and saved as ${to} by LibreOffice`;
    bars.add(`${way}: name or number not the same`, lost.length, {
      most: 0,
      digits: 0,
      peer: `${read.errors} rows with errors, ${after.length} people, anything not the same: ${changed.length}`,
    });
  }
  await server.stop();
}
