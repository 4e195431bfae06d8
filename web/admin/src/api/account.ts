/** Reads of accounts: one's own, everybody's, and teams. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";

export const accountKeys = {
  signIn: ["account", "sign-in"] as const,
  browsers: ["account", "browsers"] as const,
  users: ["accounts", "users"] as const,
  teams: ["accounts", "teams"] as const,
};

/** How one signs in. */
export const signInWaysQuery = queryOptions({
  queryKey: accountKeys.signIn,
  queryFn: ({ signal }) => value(api.GET("/api/v1/me/sign-in", { signal })),
});

export const browsersQuery = queryOptions({
  queryKey: accountKeys.browsers,
  queryFn: ({ signal }) => value(api.GET("/api/v1/me/browsers", { signal })),
});

export const usersQuery = infiniteQueryOptions({
  queryKey: accountKeys.users,
  queryFn: ({ pageParam, signal }) =>
    value(
      api.GET("/api/v1/users", {
        params: { query: { limit: 100, ...(pageParam === null ? {} : { cursor: pageParam }) } },
        signal,
      }),
    ),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor ?? null,
});

/** Every team; for those who administer. */
export const teamsQuery = queryOptions({
  queryKey: accountKeys.teams,
  queryFn: ({ signal }) => value(api.GET("/api/v1/teams", { signal })),
});

/** After somebody's account or a team changed: one shows in the other. */
export function accountsChanged(client: QueryClient): Promise<void> {
  return client.invalidateQueries({ queryKey: ["accounts"] });
}
