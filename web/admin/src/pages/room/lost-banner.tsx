import { Button } from "react-aria-components";
import type { Room } from "../../feed/reducer.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { Icon } from "../../ui/icon.tsx";
import { duration } from "../../ui/words.ts";

/** A blink of the network is not worth a word; this long is. */
const GRACE_MS = 1_500;

/** Says that the page is not live, from when its numbers are, and when it tries again. */
export function LostBanner({ room, retry }: { room: Room; retry(): void }) {
  const now = useNow();
  const { link, freshAt } = room;
  if (link.kind !== "lost" || now - link.since < GRACE_MS) return null;
  const wait = link.retryAt - now;
  return (
    <div className="lost-banner appear">
      <Icon name="warning" />
      <div className="lost-words">
        <p role="alert">
          <strong>{t("room.lost")}</strong>{" "}
          {freshAt === null ? t("room.lost_never") : t("room.lost_text", { time: say.time(freshAt) })}
        </p>
        <p className="small tabular" aria-hidden="true">
          {wait > 0 ? t("room.lost_retry", { wait: duration(wait) }) : t("room.lost_trying")}
        </p>
      </div>
      <Button className="button" onPress={retry}>
        {t("room.lost_now")}
      </Button>
    </div>
  );
}
