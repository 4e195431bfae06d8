import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { ApiError } from "../../api/problem.ts";
import { eventQuery, peopleChanged } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { useRoom } from "../../feed/rooms.ts";
import { t } from "../../text.ts";
import { Icon } from "../../ui/icon.tsx";
import { Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { toast } from "../../ui/toast.tsx";
import { NotFound } from "../lost.tsx";
import { ConnectEncoder, EncoderDisclosure } from "./encoder.tsx";
import { Figures } from "./figures.tsx";
import { RoomHeader } from "./header.tsx";
import { Health } from "./health.tsx";
import { LostBanner } from "./lost-banner.tsx";
import { People } from "./people.tsx";
import { Viewers } from "./viewers.tsx";

const route = getRouteApi("/inside/events/$event");

/** The control room of one event. */
export function RoomPage() {
  const { event } = route.useParams();
  // A new event is a new room: nothing of the last one may linger.
  return <RoomOf key={event} id={event} />;
}

function RoomOf({ id }: { id: string }) {
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
  return <LiveRoom event={event.data} />;
}

function LiveRoom({ event }: { event: Event }) {
  const { room, retry } = useRoom(event.id);
  useFollowers(event.id, room);
  const stream = room.stream ?? event.stream;
  const watching = room.stream === null ? event.watching : room.watching;

  return (
    <div className="room" data-state={stream.state} data-stale={room.link.kind === "lost" || undefined}>
      <Link to="/" className="back">
        <Icon name="back" />
        {t("room.back")}
      </Link>
      <RoomHeader event={event} stream={stream} watching={watching} />
      <LostBanner room={room} retry={retry} />
      <Figures event={event} stream={stream} watching={watching} room={room} />
      <div className="room-columns">
        <div className="room-column">
          {stream.state === "idle" ? (
            <ConnectEncoder event={event} />
          ) : (
            <Health stream={stream} reconnectWindowMs={event.reconnect_window_ms} />
          )}
          <Viewers event={event} room={room} state={stream.state} />
        </div>
        <div className="room-column">
          <People event={event} room={room} />
          {stream.state !== "idle" && <EncoderDisclosure event={event} live={stream.state === "live"} />}
        </div>
      </div>
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
