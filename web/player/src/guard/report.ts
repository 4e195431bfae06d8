/**
 * What was seen, on its way to the server: each name once, then again after a minute if it is still so; a handful a
 * message; a few messages a minute. What does not fit waits for the next one, and no name waits twice, so nothing here
 * can grow. What a signal weighs is not known here.
 */

/** Signals that a page can give; the rows of the list in `docs/watermark-attacks.md`. */
export type Name =
  | "context_menu"
  | "shortcut"
  | "window_size"
  | "console_reads"
  | "console_time"
  | "debugger_pause"
  | "console_tools"
  | "watermark_dom"
  | "watermark_style"
  | "watermark_geometry"
  | "watermark_occlusion"
  | "watermark_hit"
  | "watermark_pixels"
  | "api_patched"
  | "picture_in_picture"
  | "remote_playback"
  | "native_fullscreen"
  | "hidden"
  | "page_capture"
  | "automation"
  | "many_tabs";

export interface Signal {
  readonly name: Name;
  readonly detail: string;
}

/** The same thing is said again after this. */
export const REPEAT_MS = 60_000;
/** Between two messages. */
export const FLUSH_MS = 1_500;
export const SIGNALS_MAX = 8;
const DETAIL_MAX = 80;

export class Report {
  readonly #said = new Map<Name, number>();
  readonly #waiting = new Map<Name, string>();

  /** Notes a sighting at `now`; whether it was news. */
  note(name: Name, detail: string, now: number): boolean {
    const said = this.#said.get(name);
    if (said !== undefined && now - said < REPEAT_MS) return false;
    this.#said.set(name, now);
    this.#waiting.set(name, printable(detail));
    return true;
  }

  /** The next message, or none. It is gone from here only when `send` took it. */
  flush(send: (signals: readonly Signal[]) => boolean): void {
    if (this.#waiting.size === 0) return;
    const signals = [...this.#waiting].slice(0, SIGNALS_MAX).map(([name, detail]) => ({ name, detail }));
    if (!send(signals)) return;
    for (const { name } of signals) this.#waiting.delete(name);
  }
}

function printable(text: string): string {
  return text.replaceAll(/[^ -~]/g, "?").slice(0, DETAIL_MAX);
}

/**
 * True while something has been so for `ms` at least, asked at any pace: what passes by (a rotation, a panel that slides
 * in) is nothing.
 */
export class Steady {
  #since: number | null = null;

  constructor(private readonly ms: number) {}

  /** It was so when it was last asked, for however short a time. */
  get begun(): boolean {
    return this.#since !== null;
  }

  is(so: boolean, now: number): boolean {
    if (!so) this.#since = null;
    else this.#since ??= now;
    return this.#since !== null && now - this.#since >= this.ms;
  }
}
