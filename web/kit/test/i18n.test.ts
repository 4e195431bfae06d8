import { expect, test } from "vitest";
import { createI18n } from "../src/i18n.ts";

const en = { hello: "Hello {name}", people: { one: "{n} person", other: "{n} people" } } as const;
const fr = { hello: "Bonjour {name}", people: { one: "{n} personne", other: "{n} personnes" } };
const make = (languages: string[]) => createI18n({ lang: "en", messages: en }, { fr }, languages);

test("the first language that we have wins, and keeps its region for dates", () => {
  const i18n = make(["de-CH", "fr-CA", "en"]);
  expect([i18n.lang, i18n.locale, i18n.dir]).toEqual(["fr", "fr-CA", "ltr"]);
  expect(i18n.t("hello", { name: "Ana" })).toBe("Bonjour Ana");
});

test("an unknown language reads English", () => {
  expect(make(["xx"]).t("hello", { name: "Ana" })).toBe("Hello Ana");
});

test("a number chooses the words by the language's own rules", () => {
  expect([0, 1, 2].map((n) => make(["en"]).t("people", { n }))).toEqual(["0 people", "1 person", "2 people"]);
  expect([0, 1, 2].map((n) => make(["fr"]).t("people", { n }))).toEqual([
    "0 personne",
    "1 personne",
    "2 personnes",
  ]);
});

test("a place without a value stays visible instead of vanishing", () => {
  expect(make(["en"]).t("hello")).toBe("Hello {name}");
});
