/**
 * Quantities as a person reads them. Every function takes the reader's locale first and never the clock:
 * what "now" is, the caller says.
 */

/** `1234` → `1,234`. */
export function number(locale: string, value: number, digits = 0): string {
  return new Intl.NumberFormat(locale, {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  }).format(value);
}

/** Bits per second → `2.6 Mb/s`, `640 kb/s`. */
export function bitrate(locale: string, bps: number): string {
  if (bps >= 999_500) return `${number(locale, bps / 1e6, 1)} Mb/s`;
  return `${number(locale, bps / 1e3)} kb/s`;
}

/** Bytes → `3.1 MB` (powers of ten, as networks and disks are sold). */
export function bytes(locale: string, value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"] as const;
  let unit = 0;
  let rest = value;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${number(locale, rest, unit > 1 ? 1 : 0)} ${units[unit] ?? "B"}`;
}

/** Milliseconds → `1.4 s`, to a tenth. */
export function seconds(locale: string, ms: number): string {
  return `${number(locale, ms / 1000, 1)} s`;
}

/** Frames per second, `30` or `29.97`. */
export function frameRate(locale: string, fps: number): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 2 }).format(fps);
}

/** Milliseconds → a clock, `4:05` or `1:02:09`; never negative. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.ceil(ms / 1000));
  const s = String(total % 60).padStart(2, "0");
  const m = Math.floor(total / 60) % 60;
  const h = Math.floor(total / 3600);
  return h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** A moment with its day when that is not today: `20:30`, `Sat 22 Nov, 20:30`. `zone` for tests. */
export function moment(locale: string, at: Date, now: Date, zone?: string): string {
  const where: Intl.DateTimeFormatOptions = zone === undefined ? {} : { timeZone: zone };
  const time = new Intl.DateTimeFormat(locale, { timeStyle: "short", ...where }).format(at);
  const day = (date: Date) => new Intl.DateTimeFormat("en-CA", where).format(date);
  if (day(at) === day(now)) return time;
  const date: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short" };
  return `${new Intl.DateTimeFormat(locale, { ...date, ...where }).format(at)}, ${time}`;
}

/** The reader's zone as they would name it: `GMT+1`, `CET`. */
export function zoneName(locale: string, at: Date, zone?: string): string {
  const where: Intl.DateTimeFormatOptions = zone === undefined ? {} : { timeZone: zone };
  const parts = new Intl.DateTimeFormat(locale, { timeZoneName: "short", ...where }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** How long until or since: `in 5 minutes`, `2 hours ago`, in the largest unit that is at least one. */
export function relative(locale: string, at: Date, now: Date): string {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const delta = (at.getTime() - now.getTime()) / 1000;
  const size = Math.abs(delta);
  if (size < 45) return format.format(Math.round(delta), "second");
  if (size < 45 * 60) return format.format(Math.round(delta / 60), "minute");
  if (size < 22 * 3600) return format.format(Math.round(delta / 3600), "hour");
  return format.format(Math.round(delta / 86_400), "day");
}
