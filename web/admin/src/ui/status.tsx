import type { StreamStatus } from "../api/types.ts";
import { t } from "../text.ts";

/** The state of a broadcast, in a word. */
export function Status({ state }: { state: StreamStatus["state"] }) {
  return (
    <span className="status" data-state={state}>
      {t(`stream.${state}`)}
    </span>
  );
}
