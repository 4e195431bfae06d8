/**
 * One door to the API: calls are typed by the generated schema, answers come back as values, and everything
 * that goes wrong is one `ApiError` with the server's stable code.
 */
import createClient from "openapi-fetch";
import type { paths } from "../../../kit/client/schema.d.ts";
import { confirming } from "./confirm.ts";
import { ApiError, networkError, readProblem } from "./problem.ts";

export const api = createClient<paths>({ baseUrl: "/", credentials: "same-origin" });
api.use(confirming);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The value of an answer; throws `ApiError` when there is none. */
export async function value<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw networkError(cause);
  }
  if (!answer.response.ok) {
    throw new ApiError(readProblem(answer.error, answer.response.status, answer.response.headers));
  }
  return answer.data as T;
}
