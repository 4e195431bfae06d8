/** What is kept about one person: handed out to them, or forgotten for good. */
import { api, value } from "./client.ts";

/** Everything, as a file for themself. Every time is written to the log. */
export const personalData = (event: string, invitation: string): Promise<Blob> =>
  value(
    api.GET("/api/v1/events/{event}/invitations/{invitation}/personal-data", {
      params: { path: { event, invitation } },
      parseAs: "blob",
    }),
  );

export const erase = (event: string, invitation: string) =>
  value(
    api.DELETE("/api/v1/events/{event}/invitations/{invitation}/personal-data", {
      params: { path: { event, invitation } },
    }),
  );
