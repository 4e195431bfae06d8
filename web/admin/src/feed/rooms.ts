/** The organiser feed in React: a room for as long as a component looks at it. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { keys } from "../api/queries.ts";
import { FeedConnection, type Socket, type World } from "./connection.ts";
import { emptyRoom, type Room, type RoomEvent, reduceRoom } from "./reducer.ts";

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

interface Feed {
  retryNow(): void;
  stop(): void;
}

function openFeed(event: string, client: QueryClient, tell: (event: RoomEvent) => void): Feed {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const url = `${scheme}//${location.host}/api/v1/events/${encodeURIComponent(event)}/feed`;
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

/** The live room of one event. `retry` skips the wait after a loss. */
export function useRoom(event: string): { room: Room; retry: () => void } {
  const [room, dispatch] = useReducer(reduceRoom, emptyRoom);
  const client = useQueryClient();
  const feed = useRef<Feed | null>(null);
  useEffect(() => {
    feed.current = openFeed(event, client, dispatch);
    return () => feed.current?.stop();
  }, [event, client]);
  return { room, retry: useCallback(() => feed.current?.retryNow(), []) };
}

/** Rooms watched at once by a list: a browser opens only so many sockets, and more do not fit a screen. */
const ROOMS_MAX = 12;

/** The live rooms of the first twelve of `events`. */
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
      feeds.current.set(event, openFeed(event, client, tell));
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
