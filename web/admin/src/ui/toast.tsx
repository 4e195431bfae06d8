/**
 * Short news at the edge of the screen, read out politely. Nothing that must be acted on is said only here:
 * a toast confirms what already happened.
 */
import { useSyncExternalStore } from "react";
import { createPortal } from "react-dom";
import { t } from "../text.ts";
import { Icon } from "./icon.tsx";

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly undo: (() => void) | null;
}

/** More than this many at once is noise; the oldest gives way. */
const TOASTS_MAX = 3;
/** Long enough to read twice. */
const TOAST_MS = 5_000;
/** Long enough to think again. */
const UNDO_MS = 12_000;

let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]) {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Says it; with `undo`, offers to take it back for a while. */
export function toast(text: string, undo: (() => void) | null = null): void {
  const id = nextId++;
  set([...toasts.filter((other) => other.text !== text), { id, text, undo }].slice(-TOASTS_MAX));
  setTimeout(() => dismiss(id), undo === null ? TOAST_MS : UNDO_MS);
}

function dismiss(id: number) {
  set(toasts.filter((other) => other.id !== id));
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  // In the body, above any dialog: a dialog hides what is beside it, and what is said here must stay heard.
  return createPortal(
    <div className="toasts" role="status" aria-live="polite" data-react-aria-top-layer="true">
      {shown.map(({ id, text, undo }) => (
        <div key={id} className="toast">
          <Icon name="check" />
          <span>{text}</span>
          {undo && (
            <button
              type="button"
              className="toast-undo"
              onClick={() => {
                dismiss(id);
                undo();
                // The button is gone; the keyboard goes on where the page's content begins.
                document.getElementById("content")?.focus({ preventScroll: true });
              }}
            >
              {t("toast.undo")}
            </button>
          )}
          <button
            type="button"
            className="toast-close"
            aria-label={t("toast.dismiss")}
            onClick={() => dismiss(id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>,
    document.body,
  );
}
