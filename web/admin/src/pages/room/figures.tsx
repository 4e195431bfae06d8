import type { ReactNode } from "react";
import type { Event, StreamStatus } from "../../api/types.ts";
import { bitrateOf, type Room } from "../../feed/reducer.ts";
import { verdict } from "../../model/health.ts";
import { elapsed } from "../../model/time.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { Sparkline } from "../../ui/sparkline.tsx";
import { verdictTitle } from "./health.tsx";

interface FiguresProps {
  event: Event;
  stream: StreamStatus;
  watching: number;
  room: Room;
}

/** The numbers an organiser glances at. Each is either true or a dash. */
export function Figures({ event, stream, watching, room }: FiguresProps) {
  const now = useNow();
  const incoming = bitrateOf(stream);
  const judged = verdict(stream, event.reconnect_window_ms, now);
  const { invited, redeemed } = room.counters ?? event;
  const used = invited === 0 ? 0 : redeemed / invited;
  const peak = Math.max(room.counters?.peak ?? 0, watching);
  return (
    <dl className="figures" aria-label={t("room.figures")}>
      <Figure label={t("room.watching")} value={say.number(watching)} strong>
        <Door waiting={room.counters?.waiting ?? 0} refused={room.counters?.refused ?? 0} />
        <Sparkline samples={room.audience} now={now} />
      </Figure>
      <Figure label={t("room.peak")} value={peak > 0 ? say.number(peak) : t("room.none")}>
        {room.counters !== null && room.counters.inside > watching && (
          <p className="muted small">
            {t("room.inside", { n: room.counters.inside, count: say.number(room.counters.inside) })}
          </p>
        )}
      </Figure>
      <Figure
        label={t("room.redeemed")}
        value={say.number(redeemed)}
        beside={t("room.redeemed_of", { invited: say.number(invited) })}
      >
        <svg className="bar-meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
          <rect className="bar-track" width="100" height="4" />
          <rect className="bar-fill" width={Math.min(100, used * 100)} height="4" />
        </svg>
      </Figure>
      <Clock event={event} stream={stream} now={now} />
      <Figure label={t("room.incoming")} value={incoming > 0 ? say.bitrate(incoming) : t("room.none")}>
        {stream.state === "live" && (
          <a className="health-word small" href="#health-title" data-tone={judged.tone}>
            {verdictTitle(judged)}
          </a>
        )}
        {stream.state !== "idle" && <Sparkline samples={room.bitrate} now={now} />}
      </Figure>
    </dl>
  );
}

/** Who did not get in, or not yet; nothing while there is nobody. */
function Door({ waiting, refused }: { waiting: number; refused: number }) {
  const words = [
    waiting > 0 ? t("room.waiting", { n: waiting, count: say.number(waiting) }) : null,
    refused > 0 ? t("room.refused", { n: refused, count: say.number(refused) }) : null,
  ].filter((each) => each !== null);
  return words.length === 0 ? null : <p className="muted small door-words">{words.join(", ")}</p>;
}

function Clock({ event, stream, now }: { event: Event; stream: StreamStatus; now: number }) {
  switch (stream.state) {
    case "live":
      return <Figure label={t("room.on_air")} value={say.clock(elapsed(stream.since, now))} />;
    case "away": {
      const left = event.reconnect_window_ms - elapsed(stream.since, now);
      return <Figure label={t("room.held")} value={left > 0 ? say.clock(left) : t("room.held_over")} warn />;
    }
    case "ended":
      return (
        <Figure
          label={t("room.ended")}
          value={stream.since ? say.relative(stream.since, now) : t("room.none")}
          small
        />
      );
    case "idle":
      return (
        <Figure
          label={t("room.starts")}
          value={event.starts_at ? say.moment(event.starts_at, now) : t("room.none")}
          small
        />
      );
  }
}

interface FigureProps {
  label: string;
  value: string;
  beside?: string;
  strong?: boolean;
  small?: boolean;
  warn?: boolean;
  children?: ReactNode;
}

function Figure({ label, value, beside, strong, small, warn, children }: FigureProps) {
  return (
    <div
      className="figure-tile"
      data-strong={strong || undefined}
      data-small={small || undefined}
      data-warn={warn || undefined}
    >
      <dt>{label}</dt>
      <dd>
        <span className="figure tabular">{value}</span>
        {beside !== undefined && <span className="muted"> {beside}</span>}
        {children}
      </dd>
    </div>
  );
}
