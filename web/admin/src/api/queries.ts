/** Every read of the API, with its key, in one place. Live values come from the feed, not from here. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { ApiError } from "./problem.ts";
import type { Topic } from "./types.ts";

export const keys = {
  me: ["me"] as const,
  events: ["events"] as const,
  event: (event: string) => ["event", event] as const,
  ingest: (event: string) => ["event", event, "ingest"] as const,
  streamKeys: (event: string) => ["event", event, "stream-keys"] as const,
  invitations: (event: string) => ["event", event, "invitations"] as const,
  incidents: (event: string) => ["event", event, "incidents"] as const,
  concurrency: (event: string) => ["event", event, "concurrency"] as const,
  tokens: ["tokens"] as const,
  log: ["log"] as const,
  webhooks: ["webhooks"] as const,
  deliveries: (webhook: string) => ["webhooks", webhook, "deliveries"] as const,
};

/** The person signed in; `null` when nobody is. */
export const meQuery = queryOptions({
  queryKey: keys.me,
  queryFn: async ({ signal }) => {
    try {
      return await value(api.GET("/api/v1/me", { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.failure.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** The ways to sign in that this server has. */
export const waysQuery = queryOptions({
  queryKey: ["ways"] as const,
  queryFn: ({ signal }) => value(api.GET("/api/v1/login", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const eventsQuery = infiniteQueryOptions({
  queryKey: keys.events,
  queryFn: ({ pageParam, signal }) =>
    value(api.GET("/api/v1/events", { params: { query: cursor(pageParam) }, signal })),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor ?? null,
});

export const eventQuery = (event: string) =>
  queryOptions({
    queryKey: keys.event(event),
    queryFn: ({ signal }) =>
      value(api.GET("/api/v1/events/{event}", { params: { path: { event } }, signal })),
  });

/** Holds a secret: it is forgotten as soon as nothing on the page shows it, and never fetched unasked. */
export const ingestQuery = (event: string) =>
  queryOptions({
    queryKey: keys.ingest(event),
    queryFn: ({ signal }) =>
      value(api.GET("/api/v1/events/{event}/ingest", { params: { path: { event } }, signal })),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });

export const streamKeysQuery = (event: string) =>
  queryOptions({
    queryKey: keys.streamKeys(event),
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/stream-keys", {
          params: { path: { event }, query: { limit: 100 } },
          signal,
        }),
      ),
    // Who comes in with a key, and what that makes of it, is in no feed.
    refetchInterval: 5_000,
  });

/** Whether the server knows where addresses are. */
export const placesQuery = queryOptions({
  queryKey: ["geo"],
  queryFn: ({ signal }) => value(api.GET("/api/v1/geo", { signal })),
  staleTime: 60_000,
});

export const tokensQuery = queryOptions({
  queryKey: keys.tokens,
  queryFn: ({ signal }) => value(api.GET("/api/v1/tokens", { params: { query: { limit: 100 } }, signal })),
});

/** How far the log is sealed. */
export const logKeyQuery = queryOptions({
  queryKey: [...keys.log, "key"],
  queryFn: ({ signal }) => value(api.GET("/api/v1/log/key", { signal })),
});

export const logQuery = (query: {
  type?: string;
  event?: string;
  actor?: string;
  from?: string;
  to?: string;
}) =>
  infiniteQueryOptions({
    queryKey: [...keys.log, query],
    queryFn: ({ pageParam, signal }) =>
      value(api.GET("/api/v1/log", { params: { query: { ...query, ...cursor(pageParam) } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    placeholderData: (previous) => previous,
  });

export const webhooksQuery = infiniteQueryOptions({
  queryKey: keys.webhooks,
  queryFn: ({ pageParam, signal }) =>
    value(api.GET("/api/v1/webhooks", { params: { query: { limit: 50, ...cursor(pageParam) } }, signal })),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor ?? null,
});

export const deliveriesQuery = (webhook: string) =>
  infiniteQueryOptions({
    queryKey: keys.deliveries(webhook),
    queryFn: ({ pageParam, signal }) =>
      value(
        api.GET("/api/v1/webhooks/{webhook}/deliveries", {
          params: { path: { webhook }, query: { limit: 20, ...cursor(pageParam) } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
  });

function cursor(pageParam: string | null): { cursor?: string } {
  return pageParam === null ? {} : { cursor: pageParam };
}

/** After something about the people of an event changed: its list and its counts. */
export function peopleChanged(client: QueryClient, event: string): Promise<void> {
  return Promise.all([
    client.invalidateQueries({ queryKey: keys.invitations(event) }),
    client.invalidateQueries({ queryKey: keys.event(event), exact: true }),
    client.invalidateQueries({ queryKey: keys.events }),
  ]).then(() => undefined);
}

/** How many watched, in the last `hours`. What happens from now on comes by the feed. */
export const concurrencyQuery = (event: string, hours: number) =>
  queryOptions({
    queryKey: [...keys.concurrency(event), hours],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - hours * 3_600_000).toISOString();
      return value(
        api.GET("/api/v1/events/{event}/concurrency", {
          params: { path: { event }, query: { from } },
          signal,
        }),
      );
    },
    staleTime: 300_000,
    refetchOnWindowFocus: false,
    placeholderData: (previous) => previous,
  });

/** The latest incidents of an event. The feed says when there are others. */
export const incidentsQuery = (event: string) =>
  queryOptions({
    queryKey: keys.incidents(event),
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/incidents", {
          params: { path: { event }, query: { limit: 100 } },
          signal,
        }),
      ),
  });

/** The address of the preview; asked for again in time, it goes on working. */
export const previewQuery = (event: string) =>
  queryOptions({
    queryKey: ["event", event, "preview"],
    queryFn: ({ signal }) =>
      value(api.POST("/api/v1/events/{event}/preview", { params: { path: { event } }, signal })),
    refetchInterval: 240_000,
    refetchIntervalInBackground: true,
    staleTime: 120_000,
    gcTime: 60_000,
    // A picture comes back by itself, as everything here: only a no is an answer.
    retry: (_count, error) =>
      !(error instanceof ApiError) || error.failure.status === 0 || error.failure.status >= 500,
    retryDelay: (attempt) => Math.min(10_000, 500 * 2 ** attempt),
  });

/** What is read again when the feed says that something else has changed: everything whose key begins so. */
export function topicsChanged(client: QueryClient, event: string, topics: readonly Topic[]): void {
  for (const topic of topics) {
    void client.invalidateQueries({ queryKey: ["event", event, topic] });
    // A list that came in, or a new state of an invitation, also changes the counts.
    if (topic === "settings" || topic === "invitations" || topic === "imports") {
      void client.invalidateQueries({ queryKey: keys.event(event), exact: true });
      void client.invalidateQueries({ queryKey: keys.events });
    }
    // Who came in by a list, and to whom a message went: their invitations stand elsewhere now.
    if (topic === "imports" || topic === "messages")
      void client.invalidateQueries({ queryKey: keys.invitations(event) });
  }
}
