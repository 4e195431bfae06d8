import { useQuery } from "@tanstack/react-query";
import { meQuery } from "../api/queries.ts";
import { may, type Right } from "../model/rights.ts";

/** Whether the person signed in may do this; for showing and hiding, never for deciding. */
export function useMay(right: Right): boolean {
  return may(useQuery(meQuery).data?.role, right);
}
