/** A server that says what a test wants it to say, for states that a real one reaches by patience or by accident. */

import type { Page, Route, WebSocketRoute } from "@playwright/test";

export interface Answer {
  status: number;
  body?: unknown;
}

/** What the viewer's page asks, and what it is told; a path that is not named is nowhere. */
export type Script = Record<string, Answer | ((route: Route) => Answer)>;

/** A page that hears nothing for some time takes its feed for lost. */
const ALIVE_MS = 5_000;

const PROBLEM = { type: "about:blank", title: "", detail: "" };

export function problem(status: number, code: string): Answer {
  return { status, body: { ...PROBLEM, status, code } };
}

export class Pretended {
  #feeds: WebSocketRoute[] = [];

  private constructor(
    private readonly page: Page,
    public script: Script,
  ) {}

  /** Takes the place of the API of one page. The page itself still comes from the real server. */
  static async on(page: Page, script: Script): Promise<Pretended> {
    const pretended = new Pretended(page, script);
    await page.route("**/api/v1/events/*/**", (route) => pretended.#answer(route));
    await page.routeWebSocket("**/api/v1/events/**/feed", (socket) => {
      pretended.#feeds.push(socket);
      socket.onMessage(() => {});
    });
    const alive = setInterval(() => pretended.say({ type: "alive" }), ALIVE_MS);
    page.once("close", () => clearInterval(alive));
    return pretended;
  }

  /** Says something on every feed that is open. */
  say(message: unknown): void {
    for (const feed of this.#feeds) feed.send(JSON.stringify(message));
  }

  async #answer(route: Route): Promise<void> {
    const request = route.request();
    const path = new URL(request.url()).pathname.replace(/^\/api\/v1\/events\/[^/]+/, "");
    const entry = this.script[`${request.method()} ${path}`] ?? problem(404, "not_found");
    const answer = typeof entry === "function" ? entry(route) : entry;
    await route.fulfill({
      status: answer.status,
      contentType: answer.status >= 400 ? "application/problem+json" : "application/json",
      body: answer.body === undefined ? "" : JSON.stringify(answer.body),
    });
  }

  /** The page that is pretended to. */
  get to(): Page {
    return this.page;
  }
}

export const SESSION = {
  id: "ses_01kaf3x6m8e9t8s2v4w6y8z0ab",
  event: "evt_01kaf3x6m8e9t8s2v4w6y8z0ab",
  title: "Opening night",
  name: "Ada Lovelace",
  state: "idle",
  starts_at: null,
  expires_at: "2099-01-01T00:00:00Z",
  playback: { hls: "http://localhost/live/x/y/index.m3u8" },
  feed: "/api/v1/events/evt_01kaf3x6m8e9t8s2v4w6y8z0ab/sessions/current/feed",
};

export const DOOR = {
  event: SESSION.event,
  title: SESSION.title,
  starts_at: null,
  state: "idle",
  refusal: null,
};
