/** What an organiser does to people in the room. */
import { api, value } from "./client.ts";
import { ApiError } from "./problem.ts";

/** Requests under way at once. */
const AT_ONCE = 8;

/** Ends sessions; answers how many were still there. Their codes keep working. */
export async function kick(event: string, sessions: readonly string[]): Promise<number> {
  const left = [...sessions];
  let ended = 0;
  const worker = async () => {
    for (let session = left.pop(); session !== undefined; session = left.pop()) {
      try {
        await value(
          api.DELETE("/api/v1/events/{event}/viewers/{session}", { params: { path: { event, session } } }),
        );
        ended += 1;
      } catch (error) {
        // Whoever has left by themselves is where they should be.
        if (!(error instanceof ApiError) || error.failure.status !== 404) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, left.length) }, worker));
  return ended;
}

/** The link that brings somebody's code along. Every look at it is written to the log. */
export async function linkOf(event: string, invitation: string): Promise<string> {
  const code = await value(
    api.GET("/api/v1/events/{event}/invitations/{invitation}/code", {
      params: { path: { event, invitation } },
    }),
  );
  return code.link;
}
