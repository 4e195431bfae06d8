/** What ends codes: none of it can be taken back. */
import { queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { keys } from "./queries.ts";
import type { MessageChannel, SelectionBody } from "./types.ts";

export const revokeMany = (event: string, selection: SelectionBody) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/revoke", {
      params: { path: { event } },
      body: { selection },
    }),
  );

/** Sessions on the old codes are dead before a new one is on its way. Who is watching reads `reason`, if it says anything. */
export const regenerate = (
  event: string,
  selection: SelectionBody,
  send: { channel: MessageChannel } | null,
  reason = "",
) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/regenerate", {
      params: { path: { event } },
      body: {
        selection,
        ...(send === null ? {} : { send }),
        ...(reason.trim() === "" ? {} : { reason: reason.trim() }),
      },
    }),
  );

/** How many an act would be about, and who of them is watching. */
export const countQuery = (event: string, selection: SelectionBody) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "count", selection],
    queryFn: ({ signal }) =>
      value(
        api.POST("/api/v1/events/{event}/invitations/count", {
          params: { path: { event } },
          body: { selection },
          signal,
        }),
      ),
    gcTime: 0,
    staleTime: 0,
  });

/** While new codes are given out step by step, this is asked again without a hint. */
const LOOK_MS = 2_000;

/** The last order for new codes on many; `null` when there never was one. */
export const renewalQuery = (event: string) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "renewal"],
    queryFn: async ({ signal }) => {
      const path = { event };
      const page = await value(
        api.GET("/api/v1/events/{event}/renewals", { params: { path, query: { limit: 1 } }, signal }),
      );
      return page.data[0] ?? null;
    },
    refetchInterval: (query) => (query.state.data?.state === "running" ? LOOK_MS : false),
  });

export const cancelRenewal = (event: string, renewal: string) =>
  value(api.DELETE("/api/v1/events/{event}/renewals/{renewal}", { params: { path: { event, renewal } } }));
