/**
 * The personal mark and what watches over it, on the real page: which attack is seen by which guard, which signals are
 * told, what the viewer reads, and that honest people are left alone.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Page } from "@playwright/test";
import { ATTACKS, type Attack } from "../support/attacks.ts";
import { GUARDS, Guarded, showsMark } from "../support/guarded.ts";
import { glance } from "../support/looks.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

const TABLE = resolve(import.meta.dirname, "../../docs/watermark-attacks.md");
const SCREENSHOTS = resolve(import.meta.dirname, "../screenshots");
/** How long an attack is watched before it counts as not seen. */
const WATCH_MS = process.env.UPDATE ? 2_500 : 1_000;
/** What is published as seen is waited for, as long as a busy machine takes. */
const SEEN_MS = 8_000;
/** Guards of the table: all but the one that says that there are detectors. */
const COLUMNS = GUARDS.slice(0, 7);
const OCCLUSION = 3;

interface Row {
  readonly attack: Attack;
  readonly seen: readonly boolean[];
  /** Another signal that told it. */
  readonly told: readonly string[];
  /** The occlusion guard could not judge. */
  readonly unsure?: boolean;
  /** The mark is on the picture after all. */
  readonly marked: boolean;
}

test("which guard sees which attack is what the published table says", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  test.setTimeout(480_000);
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection: { watermark: true } } });
  publish(show.publishUrl, { black: true, rate: 15, audio: false });
  await streamBecomes(stagedoor, show.event.id, "live");

  const committed = readTable();
  const rows: Row[] = [];
  let guarded = await Guarded.enter(context, show.invitation.link);
  let used = false;
  for (const attack of ATTACKS) {
    if (used || attack.before !== undefined) {
      await guarded.page.close();
      guarded = await Guarded.enter(context, show.event.viewer_url, attack.before);
    }
    await guarded.stands(attack.unfit);
    rows.push(await carryOut(guarded, attack, committed.get(attack.name)));
    used = attack.last === true;
  }

  const text = published(rows);
  if (process.env.UPDATE) writeFileSync(TABLE, text);
  expect(text, "docs/watermark-attacks.md is what was just seen (UPDATE=1 writes it)").toBe(
    readFileSync(TABLE, "utf8"),
  );
});

async function carryOut(guarded: Guarded, attack: Attack, expected: string | undefined): Promise<Row> {
  const { page } = guarded;
  const before = guarded.signals.length;
  if (attack.prepare !== undefined) await page.evaluate(`(${attack.prepare})()`);
  await page.evaluate(`{
    const player = document.querySelector("stagedoor-player");
    const root = player.shadowRoot;
    const stage = root.querySelector(".stage");
    const hands = { player, root, stage, video: root.querySelector("video"), mark: stage.lastElementChild };
    window.undo = (${attack.run})(hands, ${JSON.stringify(attack.css ?? "")});
  }`);
  const told = () => [
    ...new Set(
      guarded.signals
        .slice(before)
        .map(({ name }) => name)
        .filter((name) => /^(native_fullscreen|picture_in_picture|remote_playback)$/.test(name)),
    ),
  ];
  let fallen = 0;
  const seen = () => COLUMNS.map((_, bit) => (fallen & (1 << bit) & (attack.counts ?? 127)) !== 0);
  const end = Date.now() + (expected?.includes("●") || expected?.includes("_") ? SEEN_MS : WATCH_MS);
  let row: Row = { attack, seen: [], told: [], marked: false };
  // What is published is waited for; anything else is waited for as long as it may take.
  while (Date.now() < end) {
    fallen |= 127 & ~(await guarded.ask());
    row = { attack, seen: seen(), told: told(), marked: false };
    const quick = row.seen.some((saw) => saw) || row.told.length > 0;
    if (quick && cells(row) === expected) break;
    await page.waitForTimeout(100);
  }
  // Where something about a parent takes the browser's promise away, that it says nothing is not that it saw something.
  const unsure = await page.evaluate(() => {
    for (
      let at = document.querySelector("stagedoor-player");
      at !== null;
      at = at.parentElement as typeof at
    ) {
      const { filter, opacity } = getComputedStyle(at);
      if (filter !== "none" || Number(opacity) < 1) return true;
    }
    return false;
  });
  if (unsure) row = { ...row, unsure };
  const shot = await page.locator("stagedoor-player").screenshot();
  row = { ...row, marked: showsMark(shot) };
  if (attack.last !== true) {
    await page.evaluate("window.undo?.()");
    await guarded.stands();
  }
  return row;
}

/** The part of a row that can be waited for. */
function cells({ seen, told }: Row): string {
  return `${seen.map((saw) => (saw ? " ● " : "   ")).join("|")}|${told.length > 0 ? ` ${told.join(", ")} ` : ""}`;
}

function outcome({ attack, seen, told, marked, unsure }: Row): string {
  const noticed = seen.some((saw, bit) => saw && !(unsure && bit === OCCLUSION)) || told.length > 0;
  if (attack.harmless) return noticed ? "**false alarm**" : "rightly left alone";
  if (attack.copies)
    return noticed ? "seen" : "**missed**: the copy carries no mark, and no page can see that it is made";
  if (noticed) return marked ? "seen; the mark is on the picture" : "seen; the mark is gone";
  return marked ? "no effect: the mark is on the picture" : "**missed**";
}

function published(rows: readonly Row[]): string {
  const line = (...entries: string[]) => `| ${entries.join(" | ")} |`;
  const table = rows.map((row) => {
    const marks = row.seen.map((saw, bit) => (saw ? (row.unsure && bit === OCCLUSION ? "○" : "●") : ""));
    return line(row.attack.name, ...marks, row.told.map((name) => `\`${name}\``).join(", "), outcome(row));
  });
  return `${INTRO}
${line("attack", ...COLUMNS, "signal", "outcome")}
${line(...["attack", ...COLUMNS, "signal", "outcome"].map(() => "---"))}
${table.join("\n")}

${OUTRO}`;
}

const INTRO = `# Attacks on the personal mark

What people do with a console or an extension to see the picture without the lines that say whose it is, carried out on the
real page in Chromium, and which guard noticed it. Written by \`e2e/tests/guard.spec.ts\` (\`UPDATE=1\`), which fails when
what it sees is not what stands here. ● saw it; ○ could not judge meanwhile, and said so; "no effect" means that the mark
was still on the picture, by a photograph of it, and nobody had to see anything.
`;

const OUTRO = `A guard that sees something takes its bit out of the next answer to the server's heartbeat and sends a signal; what
follows is the event's policy. Whoever keeps the file of the guards away sees no picture after ten seconds, and reads why.
What was missed stays missed: the mark keeps honest people honest and names whoever films the screen. It is no proof against
somebody who copies the stream with a program of their own.
Firefox and Safari have no occlusion guard: there a cover is found by the hit test, and one that has
\`pointer-events: none !important\` written on it is missed.
`;

/** What is published of each attack, as `cells` writes it. */
function readTable(): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(TABLE, "utf8");
  } catch {
    return new Map();
  }
  const rows = text.split("\n").filter((line) => line.startsWith("| "));
  return new Map(
    rows.map((line) => {
      const [name = "", ...rest] = line.slice(2, -2).split(" | ");
      const seen = rest.slice(0, COLUMNS.length).map((cell) => /[●○]/.test(cell));
      const told = (rest[COLUMNS.length] ?? "").replaceAll("`", "").trim();
      const row = { seen, told: told === "" ? [] : told.split(", ") } as unknown as Row;
      return [name, cells(row)];
    }),
  );
}

test("every signal that Chromium can give is told", async ({ context, stagedoor, show, publish }) => {
  test.setTimeout(360_000);
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection: { watermark: true } } });
  publish(show.publishUrl, { rate: 15 });
  await streamBecomes(stagedoor, show.event.id, "live");

  // Tools for telephones, a replaced function, and a debugger that stops workers: there before the picture is.
  const tools = () => {
    (window as unknown as { eruda: object }).eruda = {};
    (HTMLMediaElement.prototype as unknown as { captureStream: unknown }).captureStream = () => null;
    // No test can put a page into the background: what the browser says about it is replaced, which is told as well.
    Object.defineProperty(Document.prototype, "hidden", { configurable: true, get: () => "away" in window });
  };
  const guarded = await Guarded.enter(context, show.invitation.link, tools, attachDebugger);
  const { page } = guarded;
  await guarded.stands(64);
  // Playwright is such a program, and its debugger listens to the console.
  for (const name of ["automation", "console_reads", "console_tools", "api_patched"])
    await guarded.says(name);
  expect(guarded.signals.find(({ name }) => name === "api_patched")?.detail).toBe("captureStream hidden");

  const stage = page.locator("stagedoor-player");
  await stage.click({ button: "right", position: { x: 300, y: 60 } });
  await page.keyboard.press("F12");
  await page.evaluate(() => navigator.mediaDevices.getDisplayMedia().catch(() => {}));
  await guarded.viewer.video.evaluate((video: HTMLVideoElement) => {
    video.disablePictureInPicture = false;
    return video
      .requestPictureInPicture()
      .catch(() => video.dispatchEvent(new Event("enterpictureinpicture")));
  });
  // There is no screen to send it to; the browser would say it like this.
  await guarded.viewer.video.evaluate((video: HTMLVideoElement) =>
    video.remote.dispatchEvent(new Event("connecting")),
  );
  await guarded.viewer.video.evaluate((video: HTMLVideoElement) => video.requestFullscreen().catch(() => {}));
  const beforeAway = guarded.signals.length;
  await page.evaluate(() => {
    Object.assign(window, { away: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await guarded.says("hidden");
  // What nobody could look at is not claimed: the tree, which is always looked at, and that the detectors run.
  await expect
    .poll(() => guarded.ask(), { message: "nothing is claimed unseen", timeout: 20_000 })
    .toBe(1 | 128);
  expect(
    guarded.signals.slice(beforeAway).filter(({ name }) => name.startsWith("watermark_")),
    "being away is no attack",
  ).toEqual([]);
  await page.evaluate(() => Reflect.deleteProperty(window, "away"));
  await guarded.stands(64);
  for (const name of [
    "context_menu",
    "shortcut",
    "page_capture",
    "picture_in_picture",
    "remote_playback",
    "native_fullscreen",
  ])
    await guarded.says(name);
  expect(await page.evaluate(() => document.fullscreenElement), "the video alone is not shown").toBeNull();

  const again = await Guarded.enter(context, show.event.viewer_url);
  await guarded.says("many_tabs");
  await again.page.close();

  // Tools docked at the side: the window stays, the page in it gets narrower.
  const { width, height } = page.viewportSize() ?? { width: 1280, height: 720 };
  await page.evaluate(
    ([width, height]) => {
      Object.defineProperty(window, "outerWidth", { configurable: true, get: () => width });
      Object.defineProperty(window, "outerHeight", { configurable: true, get: () => height });
    },
    [width, height + 100] as const,
  );
  await page.setViewportSize({ width: width - 400, height });
  await guarded.says("window_size");
  // They ask every ten seconds, twice, and only while the page itself is on time: on a busy machine that takes a while.
  for (const name of ["console_time", "debugger_pause"]) await guarded.says(name, 75_000);
  const answered = guarded.beats.at(-1);
  expect(answered?.frames, "frames are counted").toBeGreaterThan(10);
  expect(answered?.position_ms).toBeGreaterThan(0);
});

/** Stops every worker of the page at its `debugger` statements, as developer tools do. */
async function attachDebugger(page: Page): Promise<void> {
  const tools = await page.context().newCDPSession(page);
  const send = (sessionId: string, method: string) =>
    tools
      .send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id: 1, method }) })
      .catch(() => {});
  tools.on("Target.attachedToTarget", ({ sessionId }) => {
    void send(sessionId, "Debugger.enable").then(() => send(sessionId, "Runtime.runIfWaitingForDebugger"));
  });
  await tools.send("Target.setAutoAttach", {
    autoAttach: true,
    waitForDebuggerOnStart: true,
    flatten: false,
  });
}

test("the mark is read on every screen, beside the controls, and the viewer reads what was seen and what protects", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  const protection = { watermark: true, action: "pause" };
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection } });
  publish(show.publishUrl, { rate: 15 });
  await streamBecomes(stagedoor, show.event.id, "live");
  // The mark is where no test can reach; here its root is opened, to see where it stands.
  const guarded = await Guarded.enter(context, show.invitation.link, () => {
    const { attachShadow } = Element.prototype;
    Element.prototype.attachShadow = function (init) {
      return attachShadow.call(this, { ...init, mode: "open" });
    };
  });
  const { page } = guarded;

  // Driven by a program with its tools open, which is two kinds of evidence.
  const dialog = page.getByRole("alertdialog", { name: "We noticed something" });
  await expect(dialog).toBeVisible({ timeout: 40_000 });
  await expect(dialog).toContainText("Developer tools seem to be open.");
  await expect(dialog).toContainText("Tell whoever invited you");
  await expect(dialog.getByRole("button", { name: "I have read this" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeVisible();
  await expect(page.locator("stagedoor-player")).toHaveAttribute("data-playing", "false");
  await glance(page, "caution");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await pictureAdvances(guarded.viewer.video, 15);

  guarded.say({ type: "caution", action: "warn", signals: ["window_size", "something_new"] });
  await expect(page.getByRole("alert").filter({ hasText: "A side panel looks the same." })).toBeVisible();
  const meter = page.getByText(/^Protection of this picture: \d of 5$/);
  await meter.focus();
  await page.keyboard.press("Enter");
  const row = (name: string) => page.locator(`[data-protection="${name}"]`);
  await expect(row("watermark")).toContainText("Active");
  await expect(row("single")).toContainText("Active");
  await expect(row("heartbeat")).toContainText("Active", { timeout: 10_000 });
  await expect(row("tls")).toContainText("Not used");
  await glance(page, "protected");
  await page.getByRole("button", { name: "I have read this" }).click();

  for (const [name, width, height] of [
    ["portrait", 390, 844],
    ["landscape", 844, 390],
    ["desktop", 1280, 800],
  ] as const) {
    await page.setViewportSize({ width, height });
    await page.evaluate(() => scrollTo(0, 0));
    await guarded.stands(64);
    await photograph(page, `mark-${name}`);
  }
  const full = page.getByRole("button", { name: "Full screen", exact: true });
  await full.click();
  await expect
    .poll(() => page.evaluate(() => document.fullscreenElement?.localName))
    .toBe("stagedoor-player");
  await guarded.stands(64);
  await photograph(page, "mark-full-screen");
  await page.getByRole("button", { name: "Leave full screen" }).click();
  // Where elements have no full screen (iPhone), the page itself is one.
  await page.evaluate(() => Object.defineProperty(document, "fullscreenEnabled", { get: () => false }));
  await page.setViewportSize({ width: 390, height: 844 });
  await full.click();
  await expect(page.locator("stagedoor-player[data-full]")).toBeVisible();
  await guarded.stands(64);
  await photograph(page, "mark-page-full-screen");
  // The picture is all there is: nothing of the page shows through, and the keyboard finds nothing behind it.
  const others = () =>
    page.evaluate(() => {
      const across = [0.02, 0.25, 0.5, 0.75, 0.98];
      const found = across.flatMap((x) => across.map((y) => [x * innerWidth, y * innerHeight] as const));
      return found.map(([x, y]) => Boolean(document.elementFromPoint(x, y)?.closest("stagedoor-player")));
    });
  expect(await others()).not.toContain(false);
  await expect(page.locator("header.top")).toBeHidden();
  await expect(page.getByRole("heading", { level: 1 })).toBeHidden();
  for (const [width, height] of [
    [844, 390],
    [1280, 800],
  ] as const) {
    await page.setViewportSize({ width, height });
    await expect.poll(others).not.toContain(false);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.mouse.move(120, 90);
  await page.getByRole("button", { name: "Leave full screen" }).click();
  await expect(page.locator("header.top")).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
});

/** The picture with its mark and its controls, for a person to look at. */
async function photograph(page: Page, name: string): Promise<void> {
  await page.mouse.move(120, 90);
  await page.mouse.move(150, 100);
  const places = () =>
    page.evaluate(() => {
      const root = document.querySelector("stagedoor-player")?.shadowRoot;
      const rect = (element: Element | null | undefined) => {
        const { left, top, right, bottom } = element?.getBoundingClientRect() ?? new DOMRect();
        return { left, top, right, bottom };
      };
      const host = root?.querySelector(".stage")?.lastElementChild;
      const canvas = host?.shadowRoot?.querySelector("canvas");
      return {
        mark: rect(canvas),
        bar: rect(root?.querySelector(".bar")),
        stage: rect(root?.querySelector(".stage")),
      };
    });
  // Once it has glided to where it stands.
  await expect
    .poll(
      async () => {
        const { mark, bar, stage } = await places();
        return [
          mark.right - mark.left > 40 ? "" : "too small",
          mark.bottom <= bar.top + 1 ? "" : "over the controls",
          mark.left >= stage.left - 1 && mark.right <= stage.right + 1 ? "" : "beside the picture",
          mark.top >= stage.top - 1 ? "" : "above the picture",
        ].join("");
      },
      { message: `the mark ${name}`, intervals: [100] },
    )
    .toBe("");
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

test("without the file of its guards the page shows no clear picture, says what helps, and goes on when it comes", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection: { watermark: true } } });
  publish(show.publishUrl, { rate: 15 });
  await streamBecomes(stagedoor, show.event.id, "live");
  const blocked = /\/assets\/player\/guard-[^/]*\.js/;
  const guarded = await Guarded.enter(context, show.invitation.link, undefined, async (page) => {
    await page.route(blocked, (route) => route.abort("blockedbyclient"));
  });
  const { page, viewer } = guarded;
  await viewer.sees("unguarded", 25_000);
  await expect(page.getByText("A part of this page is missing", { exact: true }).last()).toBeVisible();
  await expect(page.getByText(/switch off your content blocker/)).toBeVisible();
  await expect(page.getByText(/Tell whoever invited you/)).toBeVisible();
  await expect(viewer.video).toBeHidden();
  expect(await viewer.video.evaluate((video: HTMLVideoElement) => video.paused)).toBe(true);
  // Nor does it play by the keyboard.
  await page.locator("stagedoor-player").press("k");
  await expect(page.locator("stagedoor-player")).toHaveAttribute("data-playing", "false");
  await glance(page, "unguarded");

  await page.unroute(blocked);
  await viewer.sees("live", 20_000);
  await expect(viewer.video).toBeVisible();
  await pictureAdvances(viewer.video);
  await guarded.stands(64);
  await expect(page.getByText(/switch off your content blocker/)).toBeHidden();

  // What the rules did is not said in the organiser's name.
  guarded.say({ type: "bye", reason: "tampering", message: "This was seen: something." });
  await viewer.sees("out");
  await expect(page.getByText("What was seen, and what to do:")).toBeVisible();
  await expect(page.getByText("The organiser writes:")).toHaveCount(0);
});

test("a mark that the organiser turns on reaches a page that is open, and leaves it when it is turned off", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  test.setTimeout(480_000);
  const protect = (watermark: boolean) =>
    stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection: { watermark } } });
  await protect(false);
  publish(show.publishUrl, { rate: 15 });
  await streamBecomes(stagedoor, show.event.id, "live");
  const guarded = await Guarded.enter(context, show.invitation.link);
  const marked = () => guarded.ask().then((bits) => bits & 1);
  await expect.poll(() => guarded.ask(), { message: "the detectors run" }).toBeGreaterThanOrEqual(128);
  expect(await marked()).toBe(0);
  await protect(true);
  await expect.poll(marked, { timeout: 40_000, intervals: [1_000] }).toBe(1);
  await protect(false);
  await expect.poll(marked, { timeout: 40_000, intervals: [1_000] }).toBe(0);
});

interface HonestSession {
  scene: string;
  signals: Record<string, string>;
  cautions: number;
  kicked: boolean;
  beats: number;
  trouble: string | null;
}

test("honest people are left alone", async ({ stagedoor, show, publish }) => {
  test.setTimeout(480_000);
  const protection = { watermark: true, action: "kick" };
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { protection } });
  publish(show.publishUrl, { width: 320, height: 180, rate: 10, audio: false });
  await streamBecomes(stagedoor, show.event.id, "live");
  // The same people whom the benchmark sends in by the thousand, each scene once.
  const module = resolve(import.meta.dirname, "../../bench/lib/honest.mjs");
  const { SCENES, honest } = (await import(module)) as {
    SCENES: object;
    honest(server: unknown, event: unknown, count: number, options: object): Promise<HonestSession[]>;
  };
  const count = Object.keys(SCENES).length;
  const sessions = await honest(stagedoor, show.event, count, { atOnce: 4, watchMs: 1_500 });
  const wrong = sessions.filter(
    ({ cautions, kicked, trouble }) => cautions > 0 || kicked || trouble !== null,
  );
  expect(wrong, "nobody is cautioned").toEqual([]);
  expect(sessions).toHaveLength(count);
  // A panel at the side looks like docked tools, and being away is a figure: both are told and weigh next to nothing.
  const told = new Set(sessions.flatMap(({ signals }) => Object.keys(signals)));
  for (const name of ["window_size", "hidden"]) told.delete(name);
  expect([...told], "nothing else is told of them").toEqual([]);
});
