/** Every read of the API, with its key, in one place. Live values come from the feed, not from here. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { ApiError } from "./problem.ts";

export const keys = {
  me: ["me"] as const,
  events: ["events"] as const,
  event: (event: string) => ["event", event] as const,
  ingest: (event: string) => ["event", event, "ingest"] as const,
  streamKeys: (event: string) => ["event", event, "stream-keys"] as const,
  invitations: (event: string) => ["event", event, "invitations"] as const,
  tokens: ["tokens"] as const,
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
  });

export const invitationsQuery = (event: string, search: string) =>
  infiniteQueryOptions({
    queryKey: [...keys.invitations(event), search],
    queryFn: ({ pageParam, signal }) =>
      value(
        api.GET("/api/v1/events/{event}/invitations", {
          params: {
            path: { event },
            query: { ...cursor(pageParam), ...(search === "" ? {} : { search }) },
          },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    placeholderData: (previous) => previous,
  });

export const tokensQuery = queryOptions({
  queryKey: keys.tokens,
  queryFn: ({ signal }) => value(api.GET("/api/v1/tokens", { params: { query: { limit: 100 } }, signal })),
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
