/** Keeps the screen on while `scope` lives, where the browser can (it cannot on plain HTTP). */
import type { Scope } from "./scope.ts";

export function keepAwake(scope: Scope): void {
  if (navigator.wakeLock === undefined) return;
  let lock: WakeLockSentinel | null = null;
  const take = () => {
    // The browser takes the lock away whenever the page is hidden.
    if (document.hidden || scope.closed) return;
    navigator.wakeLock
      .request("screen")
      .then((got) => {
        lock = got;
        if (scope.closed) void got.release();
      })
      // Refused on a low battery, for one: the picture plays all the same.
      .catch(() => {});
  };
  take();
  scope.listen(document, "visibilitychange", take);
  scope.defer(() => void lock?.release());
}
