/** Before an event is live: what is ready, what is missing, and the way to each. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { headQuery } from "../../api/invitations.ts";
import { messagingQuery } from "../../api/messages.ts";
import { placesQuery } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import { type Check, type Ready, readiness, readyCount } from "../../model/readiness.ts";
import { say, t } from "../../text.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";

export function Readiness({ event }: { event: Event }) {
  const organise = useMay("organise");
  const places = useQuery({
    ...placesQuery,
    enabled: organise && (event.policy.access.countries?.length ?? 0) > 0,
  });
  const messaging = useQuery({ ...messagingQuery(event.id), enabled: organise });
  const head = useQuery({ ...headQuery(event.id, {}), enabled: organise });
  if (!organise) return null;
  const list = readiness({
    event,
    unsent: head.data?.by_state?.created ?? null,
    failed: head.data?.by_state?.failed ?? null,
    gateway:
      messaging.data === undefined
        ? null
        : messaging.data.sms === "outbox" && messaging.data.email === "outbox"
          ? "outbox"
          : "provider",
    places: places.data === undefined ? null : places.data.database != null,
  });
  const ready = readyCount(list);
  const missing = list.some(({ verdict }) => verdict === "todo");
  return (
    <section className="card stack readiness" aria-labelledby="readiness-title">
      <div className="card-head">
        <h2 id="readiness-title">
          {missing ? t("ready.title") : ready === list.length ? t("ready.all") : t("ready.nearly")}
        </h2>
        <span className="muted small tabular">
          {t("ready.count", { done: say.number(ready), total: say.number(list.length) })}
        </span>
      </div>
      <ul className="ready-list">
        {list.map((item) => (
          <Item key={item.check} event={event.id} item={item} />
        ))}
      </ul>
    </section>
  );
}

function Item({ event, item }: { event: string; item: Ready }) {
  const { check, verdict, n } = item;
  const words = t(`ready.${check}.${verdict}`, { n, count: say.number(n) });
  return (
    <li data-verdict={verdict}>
      <span className="ready-mark">
        <Icon name={verdict === "done" ? "check" : verdict === "warn" ? "warning" : "close"} />
        <span className="visually-hidden">{t(`ready.verdict.${verdict}`)}</span>
      </span>
      <span>{words}</span>
      {verdict !== "done" && check !== "watched" && <WayTo event={event} check={check} />}
    </li>
  );
}

/** Where in the settings a check is cured. */
const SECTIONS: Partial<Record<Check, string>> = {
  places: "access",
  room_size: "admission",
  encryption: "encryption",
};

function WayTo({ event, check }: { event: string; check: Check }) {
  const params = { event };
  const words = t(`ready.way.${check}`);
  switch (check) {
    case "people":
      return (
        <Link to="/events/$event/invitations/import" params={params}>
          {words}
        </Link>
      );
    case "codes":
      return (
        <Link to="/events/$event/messages" params={params} search={{ to: "created" }}>
          {words}
        </Link>
      );
    case "gateway":
      return (
        <Link to="/events/$event/messages" params={params} search={{}}>
          {words}
        </Link>
      );
    case "delivered":
      return (
        <Link to="/events/$event/invitations" params={params} search={{ states: ["failed"] }}>
          {words}
        </Link>
      );
    case "encoder":
      return <a href="#encoder">{words}</a>;
    default:
      return (
        <Link to="/events/$event/settings" params={params} hash={SECTIONS[check] ?? "general"}>
          {words}
        </Link>
      );
  }
}
