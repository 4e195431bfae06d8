/** What an organiser does to people in the room. */
import { api, value } from "./client.ts";

/** One request names so many sessions at most. */
const AT_ONCE = 1_000;

/** How somebody is sent out. */
export interface SendOut {
  /** What they are told: one line, at most 200 characters; empty for no words. */
  readonly reason: string;
  /** The invitation does not let them in again. */
  readonly block: boolean;
}

/** What became of it. */
export interface SentOut {
  /** Sessions that are over. */
  readonly sessions: number;
  /** Not yet while the database is away: they are out all the same. */
  readonly recorded: boolean;
}

/** Ends sessions; whoever is not there any more is left alone. */
export async function sendOut(event: string, sessions: readonly string[], how: SendOut): Promise<SentOut> {
  let sum: SentOut = { sessions: 0, recorded: true };
  const { block } = how;
  const reason = how.reason.trim() || null;
  for (let at = 0; at < sessions.length; at += AT_ONCE) {
    const body = { sessions: sessions.slice(at, at + AT_ONCE), reason, block };
    const params = { path: { event } };
    const sent = await value(api.POST("/api/v1/events/{event}/viewers/kick", { params, body }));
    sum = { sessions: sum.sessions + sent.sessions, recorded: sum.recorded && sent.recorded };
  }
  return sum;
}

/** Ends every session of the event at once. The codes still work. */
export async function endAll(event: string, reason: string): Promise<SentOut> {
  const params = { path: { event } };
  const body = { reason: reason.trim() || null };
  return value(api.POST("/api/v1/events/{event}/viewers/end-all", { params, body }));
}

/** The link that brings somebody's code along. Every look at it is written to the log. */
export async function linkOf(event: string, invitation: string): Promise<string> {
  const code = await value(
    api.GET("/api/v1/events/{event}/invitations/{invitation}/code", {
      params: { path: { event, invitation } },
    }),
  );
  return code.link;
}
