/**
 * Over the picture: the personal mark, the guards that look whether it is there, and the detectors of everything else a
 * page can see. Loaded when the first frame was shown, on its own; it sees, says and puts back, and decides nothing.
 */
import type { Scope } from "../scope.ts";
import { IN_SIGHT, isHidden, PLAYS, shadows } from "../sight.ts";
import { DETECTORS } from "./detectors.ts";
import { Guards, type Own } from "./guards.ts";
import { Mark, type Stage } from "./mark.ts";
import { seedOf } from "./place.ts";
import { FLUSH_MS, type Name, Report, type Signal } from "./report.ts";
import { Standing } from "./standing.ts";

export type { Signal };

export interface Orders {
  readonly session: string;
  readonly watermark: { readonly lines: readonly string[]; readonly seed: string } | null;
}

export interface Surroundings {
  readonly on: Stage;
  /** Whether something of the page itself stands over the picture right now, by what the page knows. */
  readonly own: Own;
  /** The server's time, milliseconds since the epoch. */
  now(): number;
  /** Takes signals; whether they are on their way. */
  send(signals: readonly Signal[]): boolean;
}

/** Detectors that have to ask do it this often. */
const PROBE_MS = 10_000;
/** The first two times sooner: whoever opens a page with tools at hand is not given ten seconds. */
const FIRST_MS = [1_500, 4_000] as const;

export class Guard {
  readonly #standing = new Standing();
  readonly #guards: Guards | null = null;
  /** Tells what was written over what the guards go by. */
  readonly #written: () => void;

  constructor(orders: Orders, around: Surroundings, scope: Scope) {
    const report = new Report();
    const seen = (name: Name, detail = "") => {
      if (name === "api_patched") this.#standing.set("api_patched", false);
      report.note(name, detail, performance.now());
    };
    scope.every(FLUSH_MS, () => report.flush(around.send));
    this.#written = () => {
      const names = [...shadows(document, IN_SIGHT), ...shadows(around.on.video, PLAYS)];
      if (names.length > 0) seen("api_patched", names.join(" "));
    };

    const { watermark, session } = orders;
    const seed = watermark === null ? null : seedOf(watermark.seed);
    if (watermark !== null && seed !== null && watermark.lines.length > 0) {
      const mark = new Mark(around.on, watermark.lines, seed, around.now, scope);
      this.#guards = new Guards(mark, around.on, around.own, this.#standing, seen, scope);
    }

    const desktop = matchMedia("(hover: hover) and (pointer: fine)").matches;
    this.#standing.set("api_patched", true);
    const probes = DETECTORS.filter((detector) => detector.desktop !== true || desktop).map((detector) => {
      const said = (detail?: string) => seen(detector.name, detail);
      const marked = this.#guards !== null;
      try {
        const ask = detector.start({ scope, on: around.on, session, marked, seen: said });
        return { ask, always: detector.always };
      } catch {
        // A browser that lacks what it needs is none to be suspected.
        return {};
      }
    });
    const probe = () => {
      this.#written();
      const hidden = isHidden();
      for (const { ask, always } of probes) {
        if (hidden && always !== true) continue;
        try {
          ask?.();
        } catch {
          // As above.
        }
      }
    };
    for (const ms of FIRST_MS) scope.after(ms, probe);
    scope.every(PROBE_MS, probe);
    this.#standing.set("watching", true);
  }

  /** Looks at once and answers with the guards that stand; for the heartbeat. */
  tell(): number {
    this.#written();
    this.#guards?.look();
    return this.#standing.tell();
  }

  /** Whether a mark is on the picture, seen and whole as far as this browser can say. */
  get marked(): boolean {
    const names = ["watermark_dom", "watermark_style", "watermark_geometry", "watermark_hit"] as const;
    return this.#guards !== null && names.every((name) => this.#standing.stands(name));
  }
}
