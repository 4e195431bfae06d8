/** The organiser feed in React: a room for as long as a component looks at it. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { keys, topicsChanged } from "../api/queries.ts";
import type { Viewer } from "../api/types.ts";
import { FeedConnection, type Socket, type World } from "./connection.ts";
import { emptyRoom, type Room, type RoomEvent, reduceRoom } from "./reducer.ts";
import { Viewers } from "./viewers.ts";

const browser: World = {
  // A WebSocket's handlers take more than `Socket` asks for; assigning ours to them is sound.
  connect: (url) => new WebSocket(url) as unknown as Socket,
  now: () => Date.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

const schedule = {
  frame: (task: () => void) => {
    requestAnimationFrame(task);
  },
  after: (ms: number, task: () => void) => {
    setTimeout(task, ms);
  },
};

interface Feed {
  retryNow(): void;
  stop(): void;
}

function openFeed(
  event: string,
  query: () => Record<string, string>,
  client: QueryClient,
  tell: (event: RoomEvent) => void,
): Feed {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const url = () =>
    `${scheme}//${location.host}/api/v1/events/${encodeURIComponent(event)}/feed?${new URLSearchParams(query())}`;
  const feed = new FeedConnection(url, browser, tell, () => {
    // The browser does not say why a handshake failed: the person may be signed out, or the event deleted.
    void client.invalidateQueries({ queryKey: keys.me });
    void client.invalidateQueries({ queryKey: keys.event(event), exact: true });
  });
  const online = () => feed.retryNow();
  const offline = () => feed.networkLost();
  const visible = () => {
    if (document.visibilityState === "visible") feed.retryNow();
  };
  addEventListener("online", online);
  addEventListener("offline", offline);
  document.addEventListener("visibilitychange", visible);
  feed.start();
  return {
    retryNow: () => feed.retryNow(),
    stop: () => {
      feed.stop();
      removeEventListener("online", online);
      removeEventListener("offline", offline);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}

/** The live room of one event, and everybody in it. `retry` skips the wait after a loss. */
export function useRoom(event: string): { room: Room; viewers: Viewers; retry: () => void } {
  const [room, dispatch] = useReducer(reduceRoom, emptyRoom);
  const client = useQueryClient();
  const viewers = useMemo(() => new Viewers(schedule), []);
  const feed = useRef<Feed | null>(null);
  useEffect(() => {
    let wasLost = false;
    const tell = (happened: RoomEvent) => {
      if (happened.type === "lost") {
        wasLost = true;
        viewers.broken();
      }
      if (happened.type === "message") {
        const { message } = happened;
        viewers.apply(message);
        if (message.type === "changed") topicsChanged(client, event, message.topics);
        // What changed meanwhile and is not in the feed is not told again with a new snapshot.
        if (message.type === "snapshot" && wasLost) {
          void client.invalidateQueries({ queryKey: keys.event(event) });
        }
        if (message.type === "snapshot" || message.type === "resumed") wasLost = false;
      }
      dispatch(happened);
    };
    const query = (): Record<string, string> => (viewers.seq === null ? {} : { after: String(viewers.seq) });
    feed.current = openFeed(event, query, client, tell);
    return () => feed.current?.stop();
  }, [event, client, viewers]);
  return { room, viewers, retry: useCallback(() => feed.current?.retryNow(), []) };
}

/** One row, drawn again only when it changes; `undefined` once it is gone. */
export function useViewer(viewers: Viewers, session: string): Viewer | undefined {
  return useSyncExternalStore(
    useCallback((changed) => viewers.subscribe(session, changed), [viewers, session]),
    () => viewers.get(session),
  );
}

/** The sessions in their order. */
export function useView(viewers: Viewers): readonly string[] {
  return useSyncExternalStore(
    useCallback((changed) => viewers.subscribeView(changed), [viewers]),
    () => viewers.view,
  );
}

/** Rooms watched at once by a list: a browser opens only so many sockets, and more do not fit a screen. */
const ROOMS_MAX = 12;

/** The figures of the first twelve of `events`, live. */
export function useRooms(events: readonly string[]): ReadonlyMap<string, Room> {
  const client = useQueryClient();
  const [rooms, setRooms] = useState<ReadonlyMap<string, Room>>(new Map());
  const feeds = useRef(new Map<string, Feed>());
  const wanted = useMemo(() => events.slice(0, ROOMS_MAX), [events]);
  useEffect(() => {
    for (const [event, feed] of feeds.current) {
      if (wanted.includes(event)) continue;
      feed.stop();
      feeds.current.delete(event);
    }
    for (const event of wanted) {
      if (feeds.current.has(event)) continue;
      const tell = (happened: RoomEvent) =>
        setRooms((before) =>
          new Map(before).set(event, reduceRoom(before.get(event) ?? emptyRoom, happened)),
        );
      feeds.current.set(
        event,
        openFeed(event, () => ({ rows: "false" }), client, tell),
      );
    }
  }, [wanted, client]);
  useEffect(() => {
    const open = feeds.current;
    return () => {
      for (const feed of open.values()) feed.stop();
      open.clear();
    };
  }, []);
  return rooms;
}
