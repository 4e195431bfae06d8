import { describe, expect, it } from "vitest";
import type { MessageTemplate, Messaging, Send } from "../api/types.ts";
import {
  dialled,
  doneOf,
  insert,
  isWho,
  mayRetry,
  problemOf,
  retriable,
  sharesOf,
  sumOf,
  templateFor,
  wayIn,
  whoFilter,
} from "./messages.ts";

const messaging: Messaging = {
  sms: "twilio",
  email: "smtp",
  opted_out: 0,
  per_second: 1,
  spent_milli: 0,
  budget_milli: null,
  price_milli: 75,
  reports: true,
};

const send = (over: Partial<Send>): Send => ({
  id: "snd_a",
  kind: "invitation",
  channel: "sms",
  state: "running",
  total: 10,
  queued: 4,
  sent: 3,
  delivered: 1,
  failed: 1,
  failures: [{ error: "unavailable", count: 1 }],
  suppressed: 1,
  per_second: 1,
  eta_ms: 4_000,
  paused_because: null,
  spent_milli: 0,
  at: "2026-11-20T17:00:00.000Z",
  created_at: "2026-11-20T17:00:00.000Z",
  ...over,
});

describe("an order", () => {
  it("is as far as the messages that nothing more happens to", () => {
    expect(doneOf(send({}))).toBe(6);
    const { ok, onTheWay, bad } = sharesOf(send({}));
    expect(ok + onTheWay + bad).toBeCloseTo(0.6);
    expect(bad).toBeCloseTo(0.1);
  });

  it("tries everything again that certainly did not arrive", () => {
    expect(retriable(send({}))).toBe(1);
    const failures: Send["failures"] = [
      { error: "bad_address", count: 4 },
      { error: "unknown", count: 3 },
      { error: "undelivered", count: 2 },
    ];
    expect(retriable(send({ failures }))).toBe(6);
    expect(retriable(send({ failures: [] }))).toBe(0);
  });

  it("of nobody has nothing to draw", () => {
    const none = send({ total: 0, queued: 0, sent: 0, delivered: 0, failed: 0, suppressed: 0 });
    expect(sharesOf(none)).toEqual({ ok: 0, onTheWay: 0, bad: 0 });
  });
});

describe("what an order comes to", () => {
  it("counts parts, money and time", () => {
    expect(sumOf(10_000, 2, "sms", messaging)).toEqual({
      people: 10_000,
      segments: 20_000,
      costMilli: 1_500_000,
      durationMs: 10_000_000,
      overBudget: false,
    });
  });

  it("warns of a limit that is reached on the way, and of none for letters", () => {
    const tight = { ...messaging, budget_milli: 1_000, spent_milli: 900 };
    expect(sumOf(2, 1, "sms", tight).overBudget).toBe(true);
    expect(sumOf(1, 1, "sms", tight).overBudget).toBe(false);
    expect(sumOf(1_000, 0, "email", tight)).toMatchObject({ costMilli: 0, overBudget: false });
  });
});

describe("the text somebody gets", () => {
  const text = (language: string, body = language): MessageTemplate => ({
    channel: "sms",
    kind: "invitation",
    language,
    body,
    built_in: false,
  });

  it("is in their language, the whole tag before its first part, else in English", () => {
    const all = [text("en"), text("fr"), text("pt-br"), text("pt")];
    const of = (language: string) => templateFor(all, "sms", "invitation", language)?.body;
    expect(of("pt-BR")).toBe("pt-br");
    expect(of("pt-PT")).toBe("pt");
    expect(of("fr-CA")).toBe("fr");
    expect(of("ja")).toBe("en");
    expect(templateFor(all, "email", "invitation", "fr")).toBeUndefined();
  });

  it("is not sent without a way in, empty, or too long", () => {
    const draft = (body: string, subject = "") => ({ subject, body });
    expect(problemOf(draft("Hello {name}"), "sms", "invitation")).toBe("no_code");
    expect(problemOf(draft("Hello {name}"), "sms", "reminder")).toBeNull();
    expect(problemOf(draft("Come: {link}"), "sms", "invitation")).toBeNull();
    expect(problemOf(draft(" "), "sms", "reminder")).toBe("empty");
    expect(problemOf(draft("x".repeat(1_601)), "sms", "reminder")).toBe("long");
    expect(problemOf(draft("{code}"), "email", "invitation")).toBe("subject");
    expect(problemOf(draft("{code}", "Your code"), "email", "invitation")).toBeNull();
  });

  it("takes a placeholder where the caret is, in place of what is chosen", () => {
    expect(insert("Hello you", 6, 9, "{name}")).toEqual({ text: "Hello {name}", caret: 12 });
  });
});

describe("a message that was kept", () => {
  it("gives away its link and its code", () => {
    const link = "http://127.0.0.1:8080/e/evt_01kaf3x6m8e9t8s2v4w6y8z0ab#2345-6789-ABCD";
    expect(wayIn(`Ada, come in here: ${link}`)).toEqual({ link, code: "2345-6789-ABCD" });
    expect(wayIn("Your code: 2345-6789-ABCD.")).toEqual({ link: null, code: "2345-6789-ABCD" });
    expect(wayIn("See you tonight")).toEqual({ link: null, code: null });
  });

  it("is tried again only where that may change something", () => {
    expect(["refused", "unknown", "opted_out", "superseded", "not_invited"].map(mayRetry)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

it("takes a number as people write it", () => {
  expect(dialled("+33 (6) 12.34-56 78")).toBe("+33612345678");
});

it("says whom an order is for as a filter of the list", () => {
  expect(whoFilter("all")).toEqual({});
  expect(whoFilter("created")).toEqual({ states: ["created"] });
  expect(isWho("everybody")).toBe(false);
});
