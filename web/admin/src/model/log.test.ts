import { expect, test } from "vitest";
import { details, factWords, instant, isNobody, shortId } from "./log.ts";

test("a fact's type reads as words", () => {
  expect(factWords("invitation.code_revealed")).toBe("Invitation: code revealed");
  expect(factWords("api_token.created")).toBe("Api token: created");
  expect(factWords("odd")).toBe("Odd: ");
});

test("an id is shortened to what differs, anything else stays", () => {
  expect(shortId("evt_01kaf3x6m8e9t8s2v4w6y8z0ab")).toBe("evt_…8z0ab".replace("8z0ab", "y8z0ab"));
  expect(shortId("operator")).toBe("operator");
});

test("details leave out the event, nothing and what has parts", () => {
  expect(
    details({ event: "e", session: "s", reason: "in_use", more: { a: 1 }, none: null, times: 2 }),
  ).toEqual([
    ["session", "s"],
    ["reason", "in_use"],
    ["times", "2"],
  ]);
});

test("a local time becomes an instant, nonsense nothing", () => {
  expect(instant("2026-11-21T18:00")).toBe(new Date(2026, 10, 21, 18).toISOString());
  expect(instant("")).toBeUndefined();
  expect(instant("soon")).toBeUndefined();
});

test("only the four without an account are nobody", () => {
  expect(isNobody("system")).toBe(true);
  expect(isNobody("usr_1")).toBe(false);
});
