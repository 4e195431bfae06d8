import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const css = readFileSync(new URL("../tokens.css", import.meta.url), "utf8");

/** Every `--name: light-dark(#day, #night)` of the tokens. */
const colours = new Map<string, { light: string; dark: string }>();
for (const [, name, light, dark] of css.matchAll(
  /--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g,
)) {
  if (name && light && dark) colours.set(name, { light, dark });
}

/** Source: WCAG 2.2, relative luminance and contrast ratio. */
function luminance(hex: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}
function contrast(a: string, b: string): number {
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}
function measure(theme: "light" | "dark", front: string, back: string): number {
  const a = colours.get(front);
  const b = colours.get(back);
  if (!a || !b) throw new Error(`no such token: ${a ? back : front}`);
  return contrast(a[theme], b[theme]);
}

const grounds = ["bg-sunken", "bg", "surface", "surface-2", "surface-hover"];
const words = [
  "text",
  "text-muted",
  "accent-text",
  "live-text",
  "ok-text",
  "warn-text",
  "danger-text",
  "info-text",
];
const textPairs: [string, string][] = [
  ...words.flatMap((word) => grounds.map((ground) => [word, ground] as [string, string])),
  ["on-accent", "accent"],
  ["on-accent", "accent-hover"],
  ["on-accent-soft", "accent-soft"],
  ["on-live", "live"],
  ["on-danger", "danger"],
  ...["ok", "warn", "danger", "info"].flatMap((tone) => [
    [`${tone}-text`, `${tone}-soft`] as [string, string],
    ["text", `${tone}-soft`] as [string, string],
  ]),
];
const controlPairs: [string, string][] = ["bg", "surface", "surface-2"].flatMap((ground) => [
  ["line-strong", ground] as [string, string],
  ["focus", ground] as [string, string],
  ["danger", ground] as [string, string],
]);

describe.each(["light", "dark"] as const)("%s theme", (theme) => {
  test.each(textPairs)("%s on %s can be read (4.5:1)", (front, back) => {
    expect(measure(theme, front, back)).toBeGreaterThanOrEqual(4.5);
  });
  test.each(controlPairs)("%s on %s can be seen (3:1)", (front, back) => {
    expect(measure(theme, front, back)).toBeGreaterThanOrEqual(3);
  });
});
