import { useQuery } from "@tanstack/react-query";
import { meQuery } from "../api/queries.ts";

/** What the server names in `rights` of `GET /api/v1/me`. */
export type Right =
  | "look"
  | "create_event"
  | "organise"
  | "moderate"
  | "end_all"
  | "broadcast"
  | "see_people"
  | "export"
  | "administer"
  | "govern_owners"
  | "audit";

/** Whether the person signed in may do this, by the server's word; for showing and hiding, never for deciding. */
export function useMay(right: Right): boolean {
  return useQuery(meQuery).data?.rights.includes(right) ?? false;
}
