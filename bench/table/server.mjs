// A room that never was: the organiser's page and feed of an event with as many people in it and as many changes a
// second as are asked for, and nothing behind it. It speaks as much of the API as the page of a room reads.

import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const PAGES = join(import.meta.dirname, "../../web/dist/admin");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; " +
  "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self'";
const FIRST = "Ada Grace Alan Katherine Edsger Barbara Donald Margaret Ken Radia Dennis Frances Linus Hedy Tim Joan Niklaus Zoë".split(" ");
const LAST = "Lovelace Hopper Turing Johnson Dijkstra Liskov Knuth Hamilton Thompson Perlman Ritchie Allen Lamarr Berners-Lee Clarke Wirth Müller".split(" ");
const DEVICES = ["Chrome on Android", "Safari on iPhone", "Firefox on Linux", "Edge on Windows", "Chrome on macOS", "Safari on iPad"];
const RIGHTS = "look create_event organise moderate end_all broadcast see_people export administer govern_owners audit".split(" ");
const ROWS_MAX = 400;
const TICK_MS = 200;

const iso = (ms) => new Date(ms).toISOString();
const pad = (number) => String(number).padStart(6, "0");

export class Synthetic {
  constructor({ rows, changes, role = "owner", state = "live", title = "Opening night" }) {
    Object.assign(this, { changes, role, state, title });
    this.id = "evt_01kaf3x6m8e9t8s2v4w6y8z0ab";
    this.began = Date.now() - 42 * 60_000;
    this.seq = Date.now();
    this.at = 0;
    this.changed = 0;
    this.sockets = new Set();
    this.rows = Array.from({ length: rows }, (_, number) => this.person(number));
  }

  person(number) {
    const watching = number % 9 !== 0;
    return {
      session: `ses_${pad(number)}`,
      invitation: `inv_${pad(number)}`,
      name: `${FIRST[(number * 7) % FIRST.length]} ${LAST[(number * 5) % LAST.length]}`,
      joined_at: iso(this.began + ((number * 7_919) % 2_400) * 1_000),
      last_seen_at: iso(Date.now() - (watching ? 2_000 : 240_000)),
      device: DEVICES[number % DEVICES.length],
      place: ["Paris, France", "Lyon, France", "Berlin, Germany", "Geneva, Switzerland"][number % 4],
      phone: `+33 6 •• •• ${String(10 + (number % 90))} ${String(10 + ((number * 3) % 90))}`,
      watching,
      height: [360, 720, 1080, 720][number % 4],
      latency_ms: 1_900 + ((number * 37) % 900) + (number % 131 === 0 ? 14_000 : 0),
      stalls: number % 67 === 0 ? 4 : number % 23 === 0 ? 1 : 0,
      visible: number % 11 !== 3,
    };
  }

  get watching() {
    return this.rows.reduce((count, row) => count + (row.watching ? 1 : 0), 0);
  }
  get counters() {
    const inside = this.rows.length;
    const watching = this.watching;
    this.peak = Math.max(this.peak ?? Math.round(inside * 0.94), watching);
    return { watching, peak: this.peak, inside, invited: Math.round(inside * 1.24), redeemed: Math.round(inside * 1.03), refused: 3, waiting: 0, incidents: 0 };
  }
  get stream() {
    const live = this.state === "live";
    return {
      state: this.state,
      since: this.state === "idle" ? null : iso(this.began),
      publisher: live ? { encoder: "obs-studio 32.0.1", connected_at: iso(this.began) } : null,
      video: live ? { codec: "avc1.640028", name: "H.264", width: 1920, height: 1080, fps: 30, bitrate_bps: 4_480_000 + ((this.at * 7_919) % 90_000), keyframe_interval_ms: 2_000 } : null,
      audio: live ? { codec: "mp4a.40.2", name: "AAC", sample_rate: 48_000, channels: 2, bitrate_bps: 160_000 } : null,
      advice: [],
    };
  }
  get event() {
    const { counters } = this;
    return {
      id: this.id, title: this.title, latency: "low", starts_at: iso(this.began), dvr_window_ms: 900_000, reconnect_window_ms: 60_000,
      created_at: iso(this.began - 86_400_000), stream: this.stream, watching: counters.watching, invited: counters.invited,
      redeemed: counters.redeemed, viewer_url: `${this.origin}/e/${this.id}`, team_id: null,
      policy: { access: {}, admission: {}, messages: {}, privacy: {}, takeover: {} },
    };
  }
  history() {
    const data = [];
    const most = this.rows.length;
    for (let at = this.began; at < Date.now(); at += 10_000) {
      const part = (at - this.began) / (Date.now() - this.began);
      const watching = Math.round(most * (1 - Math.exp(-part * 6)) * (0.9 + 0.03 * Math.sin(part * 60)));
      data.push({ at: iso(at), watching });
    }
    return { data, step_ms: 10_000, peak: data.reduce((best, one) => (one.watching > best.watching ? one : best), { watching: 0 }) };
  }

  answer(path) {
    const event = `/api/v1/events/${this.id}`;
    const page = { data: [], next_cursor: null, total: 0 };
    switch (path) {
      case "/api/v1/me":
        return { id: "usr_1", username: "ada", name: "Ada", role: this.role, rights: RIGHTS, teams: [], ...this.me };
      case "/api/v1/events":
        return { data: [this.event], next_cursor: null };
      case event:
        return this.event;
      case `${event}/concurrency`:
        return this.history();
      case `${event}/ingest`:
        return { rtmp: { server: "rtmp://live.example.org/live", url: "rtmp://live.example.org/live/KEY" }, stream_key: "KEY", key_id: "key_1", expires_at: null };
      case `${event}/incidents`:
        return this.incidents ?? page;
      default:
        return path.startsWith(`${event}/`) ? page : null;
    }
  }

  listen(port = 0) {
    this.server = createServer((request, response) => {
      const { pathname } = new URL(request.url, "http://x");
      if (pathname.startsWith("/api/")) {
        const answer = this.answer(pathname);
        response.writeHead(answer ? 200 : 404, { "content-type": "application/json" });
        return response.end(JSON.stringify(answer ?? { code: "not_found", status: 404 }));
      }
      const asset = join(PAGES, pathname);
      const file = pathname.startsWith("/assets/") && existsSync(asset) ? asset : join(PAGES, "index.html");
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY });
      createReadStream(file).pipe(response);
    });
    this.server.on("upgrade", (request, socket) => this.open(request, socket));
    this.timer = setInterval(() => this.tick(), TICK_MS);
    return new Promise((resolve) =>
      this.server.listen(port, "127.0.0.1", () => {
        this.origin = `http://127.0.0.1:${this.server.address().port}`;
        resolve(this);
      }),
    );
  }

  open(request, socket) {
    if (this.refusing) return socket.destroy();
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.on("error", () => {});
    socket.on("close", () => this.sockets.delete(socket));
    // What the page says is only pongs.
    socket.resume();
    const chunks = Math.max(1, Math.ceil(this.rows.length / ROWS_MAX));
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      const viewers = this.rows.slice(chunk * ROWS_MAX, (chunk + 1) * ROWS_MAX);
      const more = chunk + 1 < chunks;
      if (chunk === 0) say(socket, { type: "snapshot", seq: this.seq, stream: this.stream, counters: this.counters, viewers, more });
      else say(socket, { type: "rows", viewers, more });
    }
    this.sockets.add(socket);
  }

  tell(message) {
    this.seq += 1;
    const frame = frameOf(JSON.stringify({ ...message, seq: this.seq }));
    for (const socket of this.sockets) socket.write(frame);
  }

  tick() {
    this.ticks = (this.ticks ?? 0) + 1;
    const changed = [];
    const many = Math.round((this.changes * TICK_MS) / 1_000);
    for (let number = 0; number < many && this.rows.length > 0; number += 1) {
      // A stride that visits everybody, and some who come to watch or stop.
      this.at = (this.at + 7) % this.rows.length;
      const row = this.rows[this.at];
      this.changed += 1;
      row.latency_ms = 1_900 + ((row.latency_ms * 31 + this.changed) % 1_400);
      if (this.changed % 40 === 0) row.watching = !row.watching;
      if (this.changed % 97 === 0) row.stalls += 1;
      row.last_seen_at = iso(Date.now());
      const { session, last_seen_at, watching, height, latency_ms, stalls, visible } = row;
      changed.push({ session, last_seen_at, watching, height, latency_ms, stalls, visible });
    }
    // Some leave, and as many come.
    const joined = [];
    const left = [];
    if (this.changes > 0 && this.rows.length > 100) {
      const [gone] = this.rows.splice(this.changed % this.rows.length, 1);
      left.push(gone.session);
      this.next = (this.next ?? this.rows.length) + 1;
      const row = this.person(100_000 + this.next);
      this.rows.push(row);
      joined.push(row);
    }
    if (changed.length + joined.length + left.length > 0) {
      const stays = changed.filter((row) => !left.includes(row.session));
      this.tell({ type: "viewers", joined, changed: stays, left, watching: this.watching });
    }
    if (this.ticks % 5 === 0) {
      this.tell({ type: "counters", counters: this.counters });
      if (this.state === "live") this.tell({ type: "stream", stream: this.stream });
    }
  }

  // The network goes away, and comes back when told.
  drop() {
    this.refusing = true;
    for (const socket of this.sockets) socket.destroy();
  }

  close() {
    clearInterval(this.timer);
    for (const socket of this.sockets) socket.destroy();
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

const say = (socket, message) => socket.write(frameOf(JSON.stringify(message)));

// One unmasked text frame (RFC 6455, section 5.2).
function frameOf(text) {
  const body = Buffer.from(text);
  const long = body.length > 65_535;
  const head = Buffer.alloc(body.length < 126 ? 2 : long ? 10 : 4);
  head[0] = 0x81;
  if (body.length < 126) head[1] = body.length;
  else if (long) {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(body.length), 2);
  } else {
    head[1] = 126;
    head.writeUInt16BE(body.length, 2);
  }
  return Buffer.concat([head, body]);
}
