/** People with an account, and the app on their phone. */

import { createHmac } from "node:crypto";
import type { Stagedoor } from "./stagedoor.ts";

export interface Account {
  id: string;
  username: string;
  password: string;
}

interface Problem {
  code: string;
  ticket?: string;
}

async function post<T>(stagedoor: Stagedoor, path: string, body: unknown): Promise<T> {
  const response = await fetch(`${stagedoor.origin}/api/v1${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** Makes an account that has chosen its password already. */
export async function account(
  stagedoor: Stagedoor,
  username: string,
  role: string,
  teams: string[] = [],
): Promise<Account> {
  const made = await stagedoor.api<{ id: string; one_time_password: string }>("POST", "/users", {
    username,
    role,
    teams,
  });
  const once = await post<Problem>(stagedoor, "/login", { username, password: made.one_time_password });
  if (once.code !== "new_password_required" || !once.ticket) throw new Error(`a ticket, not ${once.code}`);
  const password = `the password of ${username}`;
  const me = await post<{ id?: string }>(stagedoor, "/login/password", { ticket: once.ticket, password });
  if (me.id !== made.id) throw new Error(`${username} could not choose a password`);
  return { id: made.id, username, password };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const STEP_MS = 30_000;

/** What an authenticator app shows (RFC 6238), `ahead` steps of half a minute from now. */
export function sixDigits(secret: string, ahead = 0): string {
  const bits = [...secret.replaceAll(/[\s=]/g, "")]
    .map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, "0"))
    .join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / STEP_MS) + ahead));
  const mac = createHmac("sha1", key).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0xf;
  return String((mac.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, "0");
}
