/** What ends codes: none of it can be taken back. */
import { api, value } from "./client.ts";
import type { MessageChannel, SelectionBody } from "./types.ts";

export const revokeMany = (event: string, selection: SelectionBody) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/revoke", {
      params: { path: { event } },
      body: { selection },
    }),
  );

/** Sessions on the old codes are dead before a new one is on its way. */
export const regenerate = (
  event: string,
  selection: SelectionBody,
  send: { channel: MessageChannel } | null,
) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/regenerate", {
      params: { path: { event } },
      body: { selection, ...(send === null ? {} : { send }) },
    }),
  );
