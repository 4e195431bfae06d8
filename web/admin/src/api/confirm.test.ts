import createClient from "openapi-fetch";
import { afterEach, expect, it, vi } from "vitest";
import { confirming, confirmWith } from "./confirm.ts";

const refused = () => Response.json({ code: "confirm_sign_in" }, { status: 403 });

afterEach(() => vi.unstubAllGlobals());

function client(first: Response) {
  // biome-ignore lint/suspicious/noExplicitAny: the test has an API of its own.
  const api = createClient<any>({ baseUrl: "http://x.test", fetch: async () => first });
  api.use(confirming);
  return api;
}

it("makes the call once more after somebody confirmed, with its body", async () => {
  const again = vi.fn(async (request: Request) => Response.json({ said: await request.json() }));
  vi.stubGlobal("fetch", again);
  confirmWith(async () => true);
  const { data } = await client(refused()).POST("/a", { body: { n: 1 } });
  expect(data).toEqual({ said: { n: 1 } });
  expect(again).toHaveBeenCalledOnce();
});

it("leaves the refusal to the page when nobody confirms", async () => {
  confirmWith(async () => false);
  const { response } = await client(refused()).POST("/a", { body: {} });
  expect(response.status).toBe(403);
});

it("asks about nothing else", async () => {
  const asked = vi.fn(async () => true);
  confirmWith(asked);
  await client(Response.json({ code: "role_too_low" }, { status: 403 })).POST("/a", { body: {} });
  expect(asked).not.toHaveBeenCalled();
});
