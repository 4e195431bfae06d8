import { expect, test } from "vitest";
import { en } from "../src/words/en.ts";
import { fr } from "../src/words/fr.ts";
import { wordsFor } from "../src/words/index.ts";

const places = (text: unknown) => [...JSON.stringify(text).matchAll(/\{\w+\}/g)].map(String).sort();

test.each(Object.keys(en) as (keyof typeof en)[])("%s has the same places in every language", (key) => {
  expect(places(fr[key])).toEqual(places(en[key]));
});

test("no message accuses", () => {
  for (const message of Object.values(en))
    expect(JSON.stringify(message)).not.toMatch(/illegal|cheat|abuse|violat|forbidden|denied|error/i);
});

test("a reader of neither language reads English", () => {
  expect(wordsFor(["fi"]).lang).toBe("en");
  expect(wordsFor(["fi", "fr-BE"]).lang).toBe("fr");
});
