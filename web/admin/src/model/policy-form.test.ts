import { describe, expect, it } from "vitest";
import { anEvent } from "../testing.ts";
import { check, draftsOf, isNetwork, milliOf, money, offsetName, same, section } from "./policy-form.ts";

const policy = anEvent({}).policy;
const drafts = draftsOf(policy, 60);

describe("the settings of an event", () => {
  it("come back as they were when nothing is changed", () => {
    const full: typeof policy = {
      access: { countries: ["FR"], unknown_country: "allow", networks: ["10.0.0.0/8"] },
      takeover: { answer_s: 30, unanswered: "allow" },
      admission: { capacity: 500, per_second: 20 },
      messages: {
        per_second: 5,
        quiet_hours: { from_minute: 1_320, to_minute: 485, utc_offset_minutes: -210 },
        budget_milli: 12_345,
        prefix_budget_milli: [["+44", 1_000]],
        default_country: "FR",
        default_language: "fr",
      },
      privacy: { retention_days: 7 },
      encryption: { method: "aes-128", key_period_s: 12 },
      protection: { guard: true, action: "pause", watermark: true },
      publish: { bitrate_kbps: 8_000, long_side: 1_280, short_side: 720, fps: 30 },
    };
    const read = draftsOf(full, 0);
    const sections = [
      "access",
      "takeover",
      "admission",
      "messages",
      "privacy",
      "encryption",
      "protection",
      "publish",
    ] as const;
    for (const name of sections) {
      expect(check(name, read[name]), name).toEqual({});
      expect(section(name, read[name]), name).toEqual(full[name]);
    }
  });

  it("of an event that says nothing are the defaults", () => {
    expect(section("admission", drafts.admission)).toEqual({ capacity: null, per_second: null });
    expect(section("privacy", drafts.privacy)).toEqual({ retention_days: null });
    expect(section("messages", drafts.messages)).toMatchObject({ quiet_hours: null, budget_milli: null });
    expect(section("protection", drafts.protection)).toEqual({
      guard: true,
      action: "log",
      watermark: false,
    });
  });

  it("offer quiet hours in the reader's own zone", () => {
    expect(section("messages", { ...drafts.messages, quiet: true })).toMatchObject({
      quiet_hours: { from_minute: 1_320, to_minute: 480, utc_offset_minutes: 60 },
    });
  });

  it("name the field that is wrong", () => {
    expect(check("takeover", { ...drafts.takeover, answerSeconds: "10" })).toEqual({ answer_s: "seconds" });
    expect(check("admission", { capacity: "0", perSecond: "1.5" })).toEqual({
      capacity: "count",
      per_second: "rate",
    });
    expect(check("access", { ...drafts.access, networks: ["10.0.0.0/8", "home"] })).toEqual({
      networks: "network",
    });
    expect(
      check("messages", {
        ...drafts.messages,
        perSecond: "101",
        quiet: true,
        quietFrom: "",
        budget: "much",
        prefixes: [{ prefix: "44", budget: "1" }],
        defaultLanguage: "english please",
      }),
    ).toEqual({
      per_second: "rate",
      quiet_hours: "time",
      budget_milli: "money",
      prefix_budget_milli: "prefix",
      default_language: "language",
    });
    expect(check("privacy", { forget: true, days: "-1" })).toEqual({ retention_days: "days" });
    expect(check("privacy", { forget: false, days: "" })).toEqual({});
    expect(check("encryption", { method: "cbcs", periodSeconds: "3" })).toEqual({ key_period_s: "period" });
    expect(check("encryption", { method: "off", periodSeconds: "" })).toEqual({});
    expect(section("encryption", { method: "off", periodSeconds: "" })).toEqual({
      method: "off",
      key_period_s: 10,
    });
  });

  it("know whether there is something to save", () => {
    expect(same(drafts.access, { ...drafts.access })).toBe(true);
    expect(same(drafts.access, { ...drafts.access, countries: ["FR"] })).toBe(false);
  });
});

describe("small readings", () => {
  it("an amount has up to three decimals", () => {
    for (const [text, milli] of [
      ["12", 12_000],
      ["0.5", 500],
      ["1,25", 1_250],
      ["0", 0],
    ] as const) {
      expect(milliOf(text)).toBe(milli);
    }
    for (const text of ["", "-1", "1.2345", "a", "1e3", "1,000.00"]) expect(milliOf(text), text).toBeNull();
    expect(money(12_340)).toBe("12.34");
    expect(money(10_000)).toBe("10");
    expect(money(0)).toBe("0");
  });

  it("a range of addresses is one", () => {
    for (const text of ["10.0.0.0/8", "192.168.1.1", "2001:db8::/32", "::1"]) {
      expect(isNetwork(text), text).toBe(true);
    }
    for (const text of ["", "home", "10.0.0.0/33", "256.1.1.1", "::1/129", "10.0.0.0/8/8", "10.0.0"]) {
      expect(isNetwork(text), text).toBe(false);
    }
  });

  it("a zone is said as people say it", () => {
    expect(offsetName(60)).toBe("UTC+1");
    expect(offsetName(-210)).toBe("UTC−3:30");
    expect(offsetName(0)).toBe("UTC+0");
  });
});
