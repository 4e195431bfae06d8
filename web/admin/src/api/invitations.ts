/** Reads and writes of who is invited. */
import { queryOptions } from "@tanstack/react-query";
import { type Filter, filterBody, queryOf } from "../model/invitations.ts";
import { api, value } from "./client.ts";
import { keys } from "./queries.ts";
import type { InvitationChange, NewInvitation, SelectionBody } from "./types.ts";

/** Rows of a page of the list: a screen or two. */
export const PAGE_ROWS = 100;

/** Some of the list after `cursor`; with the counts when it is from the top. */
export const listPage = (
  event: string,
  filter: Filter,
  cursor: string | null,
  limit: number,
  signal?: AbortSignal,
) =>
  value(
    api.GET("/api/v1/events/{event}/invitations", {
      params: {
        path: { event },
        query: { ...queryOf(filter), limit, ...(cursor === null ? {} : { cursor }) },
      },
      ...(signal ? { signal } : {}),
    }),
  );

/** The top of the list with its counts. A hint of the feed makes it look again. */
export const headQuery = (event: string, filter: Filter) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "head", filter],
    queryFn: ({ signal }) => listPage(event, filter, null, PAGE_ROWS, signal),
  });

export const tagsQuery = (event: string) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "tags"],
    queryFn: async ({ signal }) =>
      (
        await value(
          api.GET("/api/v1/events/{event}/invitations/tags", { params: { path: { event } }, signal }),
        )
      ).data,
  });

/** How many an order would be for now. */
export const matchingQuery = (event: string, filter: Filter) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "matching", filter],
    queryFn: async ({ signal }) => (await listPage(event, filter, null, 1, signal)).matching ?? 0,
  });

export const personQuery = (event: string, invitation: string) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "one", invitation],
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/invitations/{invitation}", {
          params: { path: { event, invitation } },
          signal,
        }),
      ),
  });

const one = (event: string, invitation: string) => ({ params: { path: { event, invitation } } });

/** In the clear. Every look is written to the log. */
export const contactOf = (event: string, invitation: string) =>
  value(api.GET("/api/v1/events/{event}/invitations/{invitation}/contact", one(event, invitation)));

export const codeOf = (event: string, invitation: string) =>
  value(api.GET("/api/v1/events/{event}/invitations/{invitation}/code", one(event, invitation)));

export const invite = (event: string, body: NewInvitation) =>
  value(api.POST("/api/v1/events/{event}/invitations", { params: { path: { event } }, body }));

export const change = (event: string, invitation: string, body: InvitationChange) =>
  value(api.PATCH("/api/v1/events/{event}/invitations/{invitation}", { ...one(event, invitation), body }));

export const unblock = (event: string, invitation: string) =>
  value(api.POST("/api/v1/events/{event}/invitations/{invitation}/unblock", one(event, invitation)));

export const tagMany = (
  event: string,
  selection: SelectionBody,
  { add = [], remove = [] }: { add?: string[]; remove?: string[] },
) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/tags", {
      params: { path: { event } },
      body: { selection, add, remove },
    }),
  );

export const selectionOf = (filter: Filter): SelectionBody => ({ filter: filterBody(filter) });
