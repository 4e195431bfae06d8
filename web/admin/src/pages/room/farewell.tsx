import type { RefObject } from "react";
import { kick } from "../../api/steer.ts";
import { say, t } from "../../text.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { toast } from "../../ui/toast.tsx";

/** Who is to be sent out; the name is said when it is one. */
export interface Leaving {
  readonly sessions: readonly string[];
  readonly name: string;
}

interface FarewellProps {
  event: string;
  leaving: Leaving | null;
  close(): void;
  /** They are out. */
  after(): void;
  landing: RefObject<HTMLElement | null>;
}

/** Asks before people are sent out. */
export function Farewell({ event, leaving, close, after, landing }: FarewellProps) {
  const { sessions, name } = leaving ?? { sessions: [], name: "" };
  const one = sessions.length === 1;
  const send = async () => {
    const ended = await kick(event, sessions);
    toast(one ? t("viewers.kicked", { name }) : t("farewell.done", { n: ended, count: say.number(ended) }));
  };
  return (
    <Confirm
      title={
        one
          ? t("farewell.title_one", { name })
          : t("farewell.title", { n: sessions.length, count: say.number(sessions.length) })
      }
      text={t("farewell.text")}
      confirm={t("farewell.submit")}
      open={leaving !== null}
      onOpenChange={(open) => !open && close()}
      act={send}
      after={after}
      landing={landing}
    />
  );
}
