import { expect, it } from "vitest";
import { codeGroups, readableLink } from "./code.ts";

it("groups a code by four, with or without its dashes", () => {
  expect(codeGroups("ABCD-EFGH-JKLM")).toEqual(["ABCD", "EFGH", "JKLM"]);
  expect(codeGroups("ABCDEFGHJKLM")).toEqual(["ABCD", "EFGH", "JKLM"]);
  expect(codeGroups("")).toEqual([]);
});

it("drops the scheme of a link and nothing else", () => {
  expect(readableLink("https://live.example/e/evt_1#AB-CD")).toBe("live.example/e/evt_1#AB-CD");
});
