import { describe, expect, it } from "vitest";
import { unvouched } from "../src/trusted.ts";

describe("text that nobody vouched for", () => {
  const rules = unvouched("https://stage.example");

  it("is no markup, unless it is nothing", () => {
    expect(rules.createHTML("")).toBe("");
    for (const text of [" ", "x", "<b>x</b>", "<img src=x onerror=alert(1)>"])
      expect(rules.createHTML(text)).toBeNull();
  });

  it("is a worker's address only when it is a file of ours", () => {
    for (const url of ["/assets/player/a.js", "https://stage.example/assets/player/a.js"])
      expect(rules.createScriptURL(url)).toBe(url);
    for (const url of [
      "/api/v1/events",
      "/assets/../live/x",
      "https://evil.example/assets/a.js",
      "//evil.example/assets/a.js",
      "data:text/javascript,alert(1)",
      "blob:https://stage.example/1",
      "javascript:alert(1)",
    ])
      expect(rules.createScriptURL(url), url).toBeNull();
  });
});
