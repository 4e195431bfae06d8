import { describe, expect, it } from "vitest";
import type { Advice } from "../api/types.ts";
import { aStream } from "../testing.ts";
import { byGravity, encoderName, frameRate, verdict } from "./health.ts";

const advice = (...severities: Advice["severity"][]): Advice[] =>
  severities.map((severity, index) => ({ code: `a${index}`, severity, text: severity }));

const judge = (over: Parameters<typeof aStream>[0], now = 0) => verdict(aStream(over), 60_000, now);

describe("the verdict on a stream", () => {
  it("waits for an encoder while idle", () => {
    expect(judge({ state: "idle" }).kind).toBe("waiting");
  });

  it("is good when live and nothing is to be said", () => {
    expect(judge({ state: "live" })).toEqual({ kind: "good", tone: "good" });
  });

  it("stays good with mere hints", () => {
    expect(judge({ advice: advice("info", "info") })).toEqual({ kind: "hints", tone: "good", count: 2 });
  });

  it("speaks of the gravest kind and counts only that", () => {
    expect(judge({ advice: advice("info", "warning", "warning") })).toMatchObject({
      kind: "improve",
      count: 2,
    });
    expect(judge({ advice: advice("warning", "error", "info") })).toMatchObject({
      kind: "trouble",
      count: 1,
    });
  });

  it("says how long viewers are still held while the encoder is away", () => {
    const since = "2026-11-20T18:00:00.000Z";
    const at = Date.parse(since);
    expect(judge({ state: "away", since }, at + 12_000)).toMatchObject({ resumesFor: 48_000 });
    expect(judge({ state: "away", since }, at + 90_000)).toMatchObject({ resumesFor: 0 });
  });

  it("forgets the advice once the broadcast has ended", () => {
    expect(judge({ state: "ended", advice: advice("error") }).kind).toBe("ended");
  });
});

describe("advice", () => {
  it("comes gravest first, otherwise in the server's order", () => {
    const sorted = byGravity(advice("info", "error", "warning", "error"));
    expect(sorted.map((one) => one.code)).toEqual(["a1", "a3", "a2", "a0"]);
  });
});

describe("numbers", () => {
  it("keeps 29.97 and drops what is only rounding", () => {
    expect(frameRate(30_000 / 1_001)).toBe(29.97);
    expect(frameRate(30.000003)).toBe(30);
    expect(frameRate(null)).toBeNull();
    expect(frameRate(0)).toBeNull();
  });
});

describe("the name of an encoder", () => {
  it.each([
    ["FMLE/3.0 (compatible; obs-studio/31.0.2)", "OBS Studio 31.0.2"],
    ["FMLE/3.0 (compatible; Lavf59.27.100)", "ffmpeg, libavformat 59.27.100"],
    ["Larix/1.3.20", "Larix/1.3.20"],
    [" ", ""],
  ])("%s is %s", (encoder, name) => {
    expect(encoderName(encoder)).toBe(name);
  });
});
