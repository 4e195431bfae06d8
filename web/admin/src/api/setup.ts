/** Reads and writes of the setup half: lists of invitees. */
import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { keys, peopleChanged } from "./queries.ts";
import type { StartImport } from "./types.ts";

export const setupKeys = {
  imports: (event: string) => [...keys.event(event), "imports"] as const,
};

/** Everything that hangs on who is invited. */
export function inviteesChanged(client: QueryClient, event: string): Promise<void> {
  return peopleChanged(client, event);
}

export const importsQuery = (event: string) =>
  queryOptions({
    queryKey: setupKeys.imports(event),
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/imports", {
          params: { path: { event }, query: { limit: 20 } },
          signal,
        }),
      ),
  });

export const importQuery = (event: string, id: string) =>
  queryOptions({
    queryKey: [...setupKeys.imports(event), id],
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/imports/{import}", {
          params: { path: { event, import: id } },
          signal,
        }),
      ),
  });

export const startImport = (event: string, id: string, body: StartImport) =>
  value(
    api.POST("/api/v1/events/{event}/imports/{import}/start", {
      params: { path: { event, import: id } },
      body,
    }),
  );

export const cancelImport = (event: string, id: string) =>
  value(api.DELETE("/api/v1/events/{event}/imports/{import}", { params: { path: { event, import: id } } }));

export const importErrorsUrl = (event: string, id: string): string =>
  `/api/v1/events/${encodeURIComponent(event)}/imports/${encodeURIComponent(id)}/errors.csv`;
