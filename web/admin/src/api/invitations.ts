/** Reads and writes of who is invited. */
import { queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { keys } from "./queries.ts";
import type { SelectionBody } from "./types.ts";

/** How many a selection has now; `null` where nobody knows. */
export const matchingQuery = (event: string, selection: SelectionBody) =>
  queryOptions({
    queryKey: [...keys.invitations(event), "matching", selection],
    queryFn: async ({ signal }) => {
      if ("ids" in selection) return selection.ids.length;
      const { invited } = await value(
        api.GET("/api/v1/events/{event}", { params: { path: { event } }, signal }),
      );
      return invited;
    },
  });
