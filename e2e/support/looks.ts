/** What a page looks like, for a person to look at, and whether everyone can use it. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { expect, type Page, test } from "@playwright/test";

const FOLDER = resolve(import.meta.dirname, "../screenshots");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

const SIZES = [
  ["phone", PHONE],
  ["desktop", DESKTOP],
] as const;

/**
 * Writes `NAME-{phone,desktop}-{light,dark}.png`, whole pages, and fails on a violation of WCAG 2.2 A or AA that axe can see
 * in either colour scheme, and on anything that the edge of the screen cuts off. Leaves the page at desktop size in light
 * colours.
 */
export async function look(page: Page, name: string): Promise<void> {
  // Some tests look many times, and their time is meant for what they do in between.
  const info = test.info();
  info.setTimeout(info.timeout + 12_000);
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [size, viewport] of SIZES) {
      await page.setViewportSize(viewport);
      await photograph(page, `${name}-${size}-${colorScheme}`);
      if (colorScheme === "dark") expect.soft(await cutOff(page), `${name} on a ${size}`).toEqual([]);
    }
    const found = await violations(page);
    expect.soft(found, `${name} in ${colorScheme} colours`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** The same for a state that differs from a page which was looked at in a few words only: once small, once large. */
export async function glance(page: Page, name: string): Promise<void> {
  for (const [number, [size, viewport]] of SIZES.entries()) {
    const colorScheme = number === 0 ? "dark" : "light";
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize(viewport);
    await photograph(page, `${name}-${size}-${colorScheme}`);
    expect.soft(await cutOff(page), `${name} on a ${size}`).toEqual([]);
  }
  expect.soft(await violations(page), name).toEqual([]);
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** The whole page, or what is before it: a dialog belongs to the screen. */
async function photograph(page: Page, name: string): Promise<void> {
  const fullPage = (await page.locator("[role=dialog], [role=alertdialog]").count()) === 0;
  await page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage });
}

/** What can be seen and sticks out of the screen on either side, unless it can be scrolled there; the bar never scrolls. */
function cutOff(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const reachable = (element: Element): boolean => {
      for (let at = element.parentElement; at !== null; at = at.parentElement) {
        const { overflowX, position } = getComputedStyle(at);
        if (/auto|scroll/.test(overflowX) && at !== document.body && at !== document.documentElement)
          return true;
        // What a frame cuts on purpose is not cut by the screen.
        if (/hidden|clip/.test(overflowX) && at.id !== "app" && at !== document.body) {
          const { left, right } = at.getBoundingClientRect();
          if (left >= -1 && right <= innerWidth + 1) return true;
        }
        if (position === "fixed") break;
      }
      return false;
    };
    return [...document.querySelectorAll("body *")]
      .filter((element) => {
        const { left, right, width, height } = element.getBoundingClientRect();
        const bar = element.closest(".bar-nav")?.getBoundingClientRect();
        const [from, to] = bar ? [bar.left, bar.right] : [0, innerWidth];
        if (width <= 1 || height <= 1 || (left >= from - 1 && right <= to + 1)) return false;
        if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
        return element.closest("svg, [aria-hidden=true]") === null && !reachable(element);
      })
      .map(
        (element) =>
          `${element.tagName.toLowerCase()}.${element.className}: ${element.textContent?.slice(0, 40)}`,
      );
  });
}

/**
 * At the top, and with nothing on the move: axe takes what the sticky bar covers of a scrolled page for too small a target
 * (dequelabs/axe-core#3720).
 */
function settle(page: Page): Promise<void> {
  return page.evaluate(async () => {
    scrollTo({ top: 0, behavior: "instant" });
    const finite = document
      .getAnimations()
      .filter((one) => one.effect?.getComputedTiming().endTime !== Number.POSITIVE_INFINITY);
    const over = Promise.all(finite.map((one) => one.finished.catch(() => {})));
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 2_000))]);
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  });
}

/** Runs axe in the page; it is handed in by the debugger, so that the page's own security policy stays as it is. */
async function violations(page: Page): Promise<string[]> {
  await settle(page);
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    interface Violation {
      id: string;
      help: string;
      nodes: { target: unknown[]; failureSummary?: string }[];
    }
    const axe = (
      window as unknown as { axe: { run(what: Document, how: object): Promise<{ violations: Violation[] }> } }
    ).axe;
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, help, nodes }) => {
      const where = nodes.map(
        ({ target, failureSummary = "" }) => `${target.join(" ")}: ${failureSummary.replaceAll(/\s+/g, " ")}`,
      );
      return `${id}: ${help} (${where.join("; ")})`;
    });
  });
}
