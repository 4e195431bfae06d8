/**
 * What all pages of one event share: where one is, the event's name and state, the way between its pages, and
 * one live room for all of them.
 */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, Outlet } from "@tanstack/react-router";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef } from "react";
import { ApiError } from "../../api/problem.ts";
import { eventQuery, peopleChanged } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { useRoom } from "../../feed/rooms.ts";
import type { Viewers } from "../../feed/viewers.ts";
import { t } from "../../text.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { toast } from "../../ui/toast.tsx";
import { NotFound } from "../lost.tsx";
import { RoomHeader } from "../room/header.tsx";
import { LostBanner } from "../room/lost-banner.tsx";

const route = getRouteApi("/inside/events/$event");

interface Here {
  readonly event: Event;
  readonly room: Room;
  /** Everybody who is in; not React state, see `useViewer` and `useView`. */
  readonly viewers: Viewers;
}

const HereContext = createContext<Here | null>(null);

/** The event whose page this is, and its live room. */
export function useHere(): Here {
  const here = useContext(HereContext);
  if (here === null) throw new Error("outside of an event's page");
  return here;
}

export function EventFrame() {
  const { event } = route.useParams();
  // Another event is another room: nothing of the last one may linger.
  return <FrameOf key={event} id={event} />;
}

function FrameOf({ id }: { id: string }) {
  const event = useQuery(eventQuery(id));
  useTitle(event.data?.title);

  if (event.isPending) {
    return (
      <div className="card">
        <Loading lines={6} />
      </div>
    );
  }
  // Also when it was here a moment ago: someone else deleted it.
  const status = event.error instanceof ApiError ? event.error.failure.status : 0;
  if (status === 404 || status === 400 || status === 422) return <NotFound />;
  if (event.data === undefined) {
    return (
      <div className="card">
        <Failed error={event.error} retry={() => void event.refetch()} />
      </div>
    );
  }
  return <LiveFrame event={event.data} />;
}

function LiveFrame({ event }: { event: Event }) {
  const { room, viewers, retry } = useRoom(event.id);
  const here = useMemo(() => ({ event, room, viewers }), [event, room, viewers]);
  useFollowers(event.id, room);
  const stream = room.stream ?? event.stream;
  const watching = room.stream === null ? event.watching : room.watching;

  return (
    <div className="room" data-state={stream.state} data-stale={room.link.kind === "lost" || undefined}>
      <nav aria-label={t("event.crumbs")}>
        <ol className="crumbs">
          <li>
            <Link to="/">{t("app.events")}</Link>
          </li>
          <li aria-current="page">{event.title}</li>
        </ol>
      </nav>
      <RoomHeader event={event} stream={stream} watching={watching} />
      <Tabs event={event} />
      <LostBanner room={room} retry={retry} />
      <HereContext value={here}>
        <Outlet />
      </HereContext>
    </div>
  );
}

function Tabs({ event: { id: event } }: { event: Event }) {
  return (
    <nav aria-label={t("event.pages")} className="tabs">
      <Link to="/events/$event" params={{ event }} activeOptions={{ exact: true }}>
        {t("event.room")}
      </Link>
      <Link
        to="/events/$event/invitations"
        params={{ event }}
        search={{}}
        activeOptions={{ includeSearch: false }}
      >
        {t("inv.title")}
      </Link>
      <Link
        to="/events/$event/messages"
        params={{ event }}
        search={{}}
        activeOptions={{ includeSearch: false }}
      >
        {t("msg.title")}
      </Link>
      <Link to="/events/$event/settings" params={{ event }}>
        {t("event.settings")}
      </Link>
    </nav>
  );
}

/** A heading that begins a page of the event, with what can be done there beside it. */
export function PageHead({ title, lead, children }: { title: string; lead?: string; children?: ReactNode }) {
  return (
    <div className="page-head">
      <div className="stack tight">
        <h2 className="page-title">{title}</h2>
        {lead && <p className="muted">{lead}</p>}
      </div>
      {children && <div className="cluster">{children}</div>}
    </div>
  );
}

/** Lists beside the feed look again at most this often. */
const FOLLOW_MS = 1_500;

/** Keeps what is not in the feed (who redeemed, the counts) in step with it, and says when a loss has healed. */
function useFollowers(event: string, room: Room) {
  const client = useQueryClient();
  const seen = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const { turnover, link } = room;

  useEffect(() => {
    // The first snapshot comes with lists that were read a moment ago.
    const first = seen.current === 0;
    seen.current = turnover;
    if (turnover === 0 || first || timer.current !== null) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      void peopleChanged(client, event);
    }, FOLLOW_MS);
  }, [turnover, client, event]);

  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );

  const wasLost = useRef(false);
  useEffect(() => {
    if (link.kind === "open" && wasLost.current) toast(t("room.back_online"));
    wasLost.current = link.kind === "lost";
  }, [link.kind]);
}
