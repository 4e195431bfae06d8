import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { DETECTORS, getterOf, isNative, taken } from "../src/guard/detectors.ts";
import { pictureOn, placeIn, SLOT_MS, seedOf, slotAt } from "../src/guard/place.ts";
import { type Name, REPEAT_MS, Report, SIGNALS_MAX, type Signal, Steady } from "../src/guard/report.ts";
import { BITS, Standing } from "../src/guard/standing.ts";
import { fromBase64url, Heart } from "../src/net/heartbeat.ts";
import { hmac } from "../src/net/sha256.ts";
import { reader, shadows } from "../src/sight.ts";

const seed = seedOf("00112233445566778899aabbccddeeff".repeat(2)) ?? new Uint8Array();

describe("the MAC", () => {
  test("agrees with Node's for keys and messages around the block borders", () => {
    for (const key of [0, 1, 32, 63, 64, 65, 200]) {
      for (const length of [0, 1, 55, 56, 64, 119, 300]) {
        const [k, m] = [new Uint8Array(key).fill(key), Uint8Array.from({ length }, (_, i) => (i * 7) & 255)];
        const wanted = createHmac("sha256", k).update(m).digest("hex");
        expect(Buffer.from(hmac(k, m)).toString("hex")).toBe(wanted);
      }
    }
  });

  test("is over the nonce, the guards, the place and the frames, and over nothing else", () => {
    const key = new Uint8Array(32).fill(7);
    const beat = new Heart(key).answer("bm9uY2U", { guard: 255, positionMs: 1234, frames: 60 });
    const mac = createHmac("sha256", key).update("bm9uY2U.ff.1234.60").digest("base64url");
    expect(beat).toEqual({ nonce: "bm9uY2U", guard: "ff", position_ms: 1234, frames: 60, mac });
    const early = new Heart(key).answer("bm9uY2U", { guard: 0, positionMs: null, frames: 0 });
    expect(early?.mac).toBe(createHmac("sha256", key).update("bm9uY2U.0..0").digest("base64url"));
  });

  test("frames never go back when the source is built anew", () => {
    const heart = new Heart(new Uint8Array(32));
    const shown = [10, 50, 3, 40, 0].map(
      (frames) => heart.answer("n", { guard: 0, positionMs: null, frames })?.frames,
    );
    expect(shown).toEqual([10, 50, 53, 90, 90]);
  });

  test("nothing is signed that is no nonce", () => {
    const heart = new Heart(new Uint8Array(32));
    expect(heart.answer("", { guard: 0, positionMs: null, frames: 0 })).toBeNull();
    expect(heart.answer("x".repeat(65), { guard: 0, positionMs: null, frames: 0 })).toBeNull();
  });

  test("a key is base64url and nothing else", () => {
    expect(fromBase64url("-_8")).toEqual(Uint8Array.of(0xfb, 0xff));
    for (const text of ["", "a b", "+/8", "abc=", "a"]) expect(fromBase64url(text)).toBeNull();
  });
});

describe("the path of the mark", () => {
  test("is over the picture, and not over the bars beside it", () => {
    const stage = { left: 10, top: 20, width: 400, height: 800 };
    expect(pictureOn(stage, { width: 1280, height: 720 })).toEqual({
      left: 10,
      top: 307.5,
      width: 400,
      height: 225,
    });
    expect(pictureOn({ ...stage, width: 1600 }, { width: 720, height: 1280 })).toEqual({
      left: 585,
      top: 20,
      width: 450,
      height: 800,
    });
    expect(pictureOn(stage, { width: 0, height: 0 })).toEqual(stage);
  });

  test("is the function that the page describes", () => {
    const digest = createHmac("sha256", seed).update("watermark.217").digest();
    const place = { x: digest.readUInt32BE(0) / 2 ** 32, y: digest.readUInt32BE(4) / 2 ** 32 };
    expect(placeIn(seed, 217)).toEqual(place);
  });

  test("stands still for a slot and then goes elsewhere", () => {
    expect(slotAt(SLOT_MS * 5)).toBe(slotAt(SLOT_MS * 6 - 1));
    expect(placeIn(seed, 5)).not.toEqual(placeIn(seed, 6));
  });

  test("comes by everywhere, evenly, and differs from person to person", () => {
    const cells = new Array<number>(9).fill(0);
    let same = 0;
    const other = seedOf("ff".repeat(32)) ?? new Uint8Array();
    for (let slot = 0; slot < 1_800; slot += 1) {
      const { x, y } = placeIn(seed, slot);
      expect(x >= 0 && x < 1 && y >= 0 && y < 1).toBe(true);
      const cell = Math.floor(y * 3) * 3 + Math.floor(x * 3);
      cells[cell] = (cells[cell] ?? 0) + 1;
      const theirs = placeIn(other, slot);
      if (Math.abs(theirs.x - x) < 0.05 && Math.abs(theirs.y - y) < 0.05) same += 1;
    }
    // Four hours of slots: 200 in each ninth of the picture, give or take four standard deviations.
    for (const count of cells) expect(Math.abs(count - 200)).toBeLessThan(55);
    expect(same / 1_800).toBeLessThan(0.02);
  });

  test("needs a whole seed", () => {
    for (const hex of ["", "00", "g".repeat(64), "0".repeat(63), "A".repeat(64)])
      expect(seedOf(hex)).toBeNull();
  });
});

describe("what is said to the server", () => {
  const sent = (report: Report, takes = true) => {
    let out: readonly Signal[] = [];
    report.flush((signals) => {
      out = signals;
      return takes;
    });
    return out;
  };

  test("is said once, and again after a minute", () => {
    const report = new Report();
    expect(report.note("hidden", "", 0)).toBe(true);
    expect(report.note("hidden", "", REPEAT_MS - 1)).toBe(false);
    expect(sent(report)).toEqual([{ name: "hidden", detail: "" }]);
    expect(sent(report)).toEqual([]);
    expect(report.note("hidden", "", REPEAT_MS)).toBe(true);
  });

  test("waits for a connection without growing, and goes in messages of eight", () => {
    const report = new Report();
    const names = DETECTORS.map(({ name }) => name);
    for (let minute = 0; minute < 100; minute += 1) {
      for (const name of names) report.note(name, `${minute}`, minute * REPEAT_MS);
      expect(sent(report, false)).toHaveLength(SIGNALS_MAX);
    }
    const all: Name[] = [];
    for (let part = sent(report); part.length > 0; part = sent(report))
      all.push(...part.map(({ name }) => name));
    expect(all.sort()).toEqual([...names].sort());
  });

  test("is short and printable whatever was found", () => {
    const report = new Report();
    report.note("console_tools", `\u0000é\n${"x".repeat(200)}`, 0);
    expect(sent(report)[0]?.detail).toBe(`???${"x".repeat(77)}`);
  });

  test("what passes by in less than its time was nothing", () => {
    const steady = new Steady(500);
    expect(steady.begun).toBe(false);
    expect([0, 499].map((now) => steady.is(true, now))).toEqual([false, false]);
    expect(steady.begun).toBe(true);
    expect(steady.is(false, 499)).toBe(false);
    expect(steady.begun).toBe(false);
    expect([500, 999, 1_000].map((now) => steady.is(true, now))).toEqual([false, false, true]);
  });
});

test("a guard that fell is told once although it stands again", () => {
  const standing = new Standing();
  standing.set("watermark_dom", true);
  standing.set("watching", true);
  expect(standing.tell()).toBe(BITS.watermark_dom | BITS.watching);
  standing.set("watermark_dom", false);
  standing.set("watermark_dom", true);
  expect(standing.tell()).toBe(BITS.watching);
  expect(standing.tell()).toBe(BITS.watermark_dom | BITS.watching);
  expect(Object.values(BITS).reduce((sum, bit) => sum + bit, 0)).toBe(255);
});

test("what could not be looked at is not claimed, and did not fall", () => {
  const standing = new Standing();
  standing.set("watermark_hit", true);
  standing.set("watching", true);
  standing.forget("watermark_hit");
  expect(standing.tell()).toBe(BITS.watching);
  standing.set("watermark_hit", true);
  expect(standing.tell()).toBe(BITS.watermark_hit | BITS.watching);
});

describe("what the guards go by", () => {
  class Page {
    get hidden(): boolean {
      return false;
    }
  }

  test("is what the browser says, whatever is written over it later, and that it was written is seen", () => {
    const [hidden, page] = [reader(Page, "hidden"), new Page()];
    expect(shadows(page, ["hidden"])).toEqual([]);
    Object.defineProperty(page, "hidden", { get: () => true });
    expect([page.hidden, hidden(page)]).toEqual([true, false]);
    expect(shadows(page, ["hidden", "visibilityState"])).toEqual(["hidden"]);
    Object.defineProperty(Page.prototype, "hidden", { get: () => true });
    expect(hidden(page)).toBe(false);
  });

  test("has a getter of the browser's own, or none", () => {
    const asText = Function.prototype.toString;
    expect(isNative(asText, "size", getterOf(Map.prototype, "size"))).toBe(true);
    expect(isNative(asText, "size", getterOf(Array.prototype, "size"))).toBe(true);
    for (const value of [{ get: () => true }, { value: true }, { value: false }, { value: null }]) {
      const replaced = Object.defineProperty({}, "size", value);
      expect(isNative(asText, "size", getterOf(replaced, "size"))).toBe(false);
    }
  });

  test("is asked of every device, and what says that nobody looks also in the background", () => {
    const of = (name: Name) => DETECTORS.find((detector) => detector.name === name);
    expect(of("automation")?.desktop).toBeUndefined();
    expect(of("api_patched")?.always).toBe(true);
  });
});

describe("the size of the window", () => {
  const at = (zoom: number, base = 1, taken_ = { width: 0, height: 0 }) => ({
    outerWidth: 1440,
    outerHeight: 900,
    innerWidth: Math.round((1440 - taken_.width) / zoom),
    innerHeight: Math.round((900 - 120 - taken_.height) / zoom),
    ratio: base * zoom,
  });

  test.each([0.5, 2 / 3, 0.75, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2])("is no sign at zoom %s", (zoom) => {
    for (const base of [1, 1.25, 1.5, 2, 3, 4]) expect(taken(at(zoom, base))).toBeNull();
  });

  test("tells docked tools, beside the page and below it, on plain and on sharp screens", () => {
    for (const base of [1, 1.5, 2, 3]) {
      expect(taken(at(1, base, { width: 555, height: 0 }))).toBe("555 x 120 taken");
      expect(taken(at(1, base, { width: 0, height: 350 }))).toBe("0 x 470 taken");
    }
  });

  test("says nothing of windows without a size", () => {
    expect(taken({ outerWidth: 0, outerHeight: 0, innerWidth: 800, innerHeight: 600, ratio: 1 })).toBeNull();
  });
});

describe("a part of the browser", () => {
  const asText = Function.prototype.toString;

  test("is itself, or missing", () => {
    expect(isNative(asText, "push", Array.prototype.push)).toBe(true);
    expect(isNative(asText, "captureStream", undefined)).toBe(true);
  });

  test("is not one that was replaced, wrapped, bound, or given another name", () => {
    expect(isNative(asText, "push", () => 0)).toBe(false);
    expect(isNative(asText, "push", new Proxy(Array.prototype.push, {}))).toBe(false);
    expect(isNative(asText, "push", Array.prototype.push.bind([]))).toBe(false);
    expect(isNative(asText, "push", Array.prototype.pop)).toBe(false);
    expect(isNative(asText, "push", "function push() { [native code] }")).toBe(false);
  });
});

test("every name of the wire format that is not a guard of the mark has one detector", () => {
  const names = DETECTORS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => name.startsWith("watermark_"))).toEqual([]);
  // Six guards of the mark beside them.
  expect(names.length + 6).toBe(21);
});
