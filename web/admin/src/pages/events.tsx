import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { Button } from "react-aria-components";
import { eventsQuery } from "../api/queries.ts";
import { useRooms } from "../feed/rooms.ts";
import { agenda, type Entry } from "../model/agenda.ts";
import { elapsed, isPast } from "../model/time.ts";
import { say, t } from "../text.ts";
import { useNow } from "../ui/clock.ts";
import { Icon, Mark } from "../ui/icon.tsx";
import { useMay } from "../ui/rights.ts";
import { Empty, Failed, Loading } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { useTitle } from "../ui/title.ts";

export function EventsPage() {
  useTitle(t("events.title"));
  const list = useInfiniteQuery(eventsQuery);
  const events = useMemo(() => list.data?.pages.flatMap((page) => page.data) ?? [], [list.data]);
  const ids = useMemo(() => events.map((event) => event.id), [events]);
  const rooms = useRooms(ids);
  const now = useNow();
  const create = useMay("create_event");
  const { onAir, rest } = agenda(events, rooms, now);

  if (list.isPending || (list.isError && events.length === 0)) {
    return (
      <div className="stack">
        <h1>{t("events.title")}</h1>
        <div className="card">
          {list.isPending ? (
            <Loading lines={5} />
          ) : (
            <Failed error={list.error} retry={() => void list.refetch()} />
          )}
        </div>
      </div>
    );
  }
  if (events.length === 0) {
    return create ? (
      <FirstEvent />
    ) : (
      <div className="card">
        <Empty icon="info" title={t("events.none")}>
          {t("events.none_text")}
        </Empty>
      </div>
    );
  }

  return (
    <div className="stack events">
      <div className="page-head">
        <h1>{t("events.title")}</h1>
        {create && (
          <Link to="/events/new" className="button primary">
            <Icon name="plus" />
            {t("events.new")}
          </Link>
        )}
      </div>
      {onAir.length > 0 && (
        <section aria-labelledby="on-air">
          <h2 id="on-air" className="section-title">
            {t("events.on_air")}
          </h2>
          <ul className="on-air">
            {onAir.map((entry) => (
              <OnAir key={entry.event.id} entry={entry} now={now} />
            ))}
          </ul>
        </section>
      )}
      {rest.length > 0 && (
        <section aria-labelledby="all-events">
          <h2 id="all-events" className={onAir.length > 0 ? "section-title" : "visually-hidden"}>
            {t("events.all")}
          </h2>
          <ul className="card rows">
            {rest.map((entry) => (
              <Row key={entry.event.id} entry={entry} now={now} />
            ))}
          </ul>
        </section>
      )}
      {list.hasNextPage && (
        <Button
          className="button"
          onPress={() => void list.fetchNextPage()}
          data-pending={list.isFetchingNextPage || undefined}
        >
          {t("action.more")}
        </Button>
      )}
    </div>
  );
}

function OnAir({ entry: { event, stream, watching }, now }: { entry: Entry; now: number }) {
  return (
    <li className="on-air-card" data-state={stream.state}>
      <div className="cluster spread">
        <Status state={stream.state} />
        <span className="muted small tabular">
          {t(stream.state === "live" ? "events.live_for" : "events.away_for", {
            time: say.clock(elapsed(stream.since, now)),
          })}
        </span>
      </div>
      <Link to="/events/$event" params={{ event: event.id }} className="cover-link on-air-title">
        {event.title}
      </Link>
      <p className="on-air-count">
        <span className="figure tabular">{say.number(watching)}</span>{" "}
        <span className="muted">{t("room.watching")}</span>
      </p>
      <p className="muted small">{invitedWords(event)}</p>
    </li>
  );
}

function Row({ entry, now }: { entry: Entry; now: number }) {
  const { event, stream, watching } = entry;
  return (
    <li className="row">
      <div className="row-main">
        <Link to="/events/$event" params={{ event: event.id }} className="cover-link row-title">
          {event.title}
        </Link>
        <p className="muted small">{startWords(entry, now)}</p>
      </div>
      <p className="row-people muted small">
        {watching > 0 && (
          <span className="row-watching">
            {t("events.watching", { n: watching, count: say.number(watching) })}
          </span>
        )}
        <span>{invitedWords(event)}</span>
      </p>
      <Status state={stream.state} />
      <span className="row-go" aria-hidden="true">
        <Icon name="chevron" />
      </span>
    </li>
  );
}

function invitedWords({ invited, redeemed }: { invited: number; redeemed: number }): string {
  if (invited === 0) return t("events.nobody");
  if (redeemed === 0) return t("events.invited", { n: invited, count: say.number(invited) });
  return t("events.redeemed", { redeemed: say.number(redeemed), invited: say.number(invited) });
}

function startWords(
  { event: { starts_at: startsAt }, stream: { state, since } }: Entry,
  now: number,
): string {
  if (state === "ended" && since) return t("events.ended", { when: say.relative(since, now) });
  if (!startsAt) return t("events.no_start");
  const key = isPast(startsAt, now) ? "events.started" : "events.starts";
  return t(key, { when: say.moment(startsAt, now) });
}

/** An empty house: says what it is for and offers the one thing to do. */
function FirstEvent() {
  return (
    <section className="first" aria-labelledby="first-title">
      <div className="first-lead">
        <Mark />
        <h1 id="first-title">{t("events.empty")}</h1>
        <p className="muted">{t("events.empty_lead")}</p>
        <Link to="/events/new" className="button primary large">
          <Icon name="plus" />
          {t("events.new")}
        </Link>
      </div>
      <ol className="steps">
        {([1, 2, 3] as const).map((step) => (
          <li key={step}>
            <span className="step-number" aria-hidden="true">
              {say.number(step)}
            </span>
            <div>
              <p className="step-title">{t(`events.step${step}`)}</p>
              <p className="muted small">{t(`events.step${step}_text`)}</p>
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
