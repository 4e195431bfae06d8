/** Values that need more than a formatter to become words. */
import type { Latency } from "../api/types.ts";
import { spanOf } from "../model/sending.ts";
import { room } from "../text/room.ts";
import { say, t } from "../text.ts";

/** A span as a person says it: `42 seconds`, `15 minutes`, `2 hours`. Rounded up, never "0 seconds". */
export function duration(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  if (seconds < 100 && seconds !== 60) return t("unit.seconds", { n: seconds });
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 100 && minutes % 60 !== 0) return t("unit.minutes", { n: minutes });
  return t("unit.hours", { n: Math.round(minutes / 6) / 10 });
}

export function latencyName(latency: Latency): string {
  return t(`form.latency_${latency}`);
}

/** A span in short: `2 h 41 min`, `41 min`, `42 s`. */
export function span(ms: number): string {
  const { hours, minutes, seconds } = spanOf(ms);
  const parts = [
    hours > 0 && t("unit.h", { n: say.number(hours) }),
    minutes > 0 && t("unit.min", { n: say.number(minutes) }),
    seconds > 0 && t("unit.s", { n: say.number(seconds) }),
  ];
  return parts.filter((part) => part !== false).join(" ");
}

/** Thousandths of whatever currency the gateway charges in, which nobody tells us: `12.40`. */
export function amount(milli: number): string {
  return say.number(milli / 1_000, 2);
}

/** What was noticed about a viewer, in a line. A name that this page does not know yet is shown as it is. */
export function signalWords(signals: readonly string[]): string {
  return signals
    .map((name) => {
      const key = `signal.${name}`;
      return key in room ? t(key as `signal.${"hidden"}`) : name.replaceAll("_", " ");
    })
    .join(", ");
}
