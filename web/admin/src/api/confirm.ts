/**
 * Some acts ask again who sits there, when they signed in long ago: 403 `confirm_sign_in`. Whoever makes such a call
 * need not know: a dialog asks, and the call is made once more.
 */
import type { Middleware } from "openapi-fetch";

type Ask = () => Promise<boolean>;

let ask: Ask = async () => false;

/** The dialog that asks; answers whether they confirmed. */
export function confirmWith(dialog: Ask) {
  ask = dialog;
}

const CODE = "confirm_sign_in";
/** Calls under way, as they were before their bodies were read. */
const copies = new Map<string, Request>();

async function asksAgain(response: Response): Promise<boolean> {
  if (response.status !== 403) return false;
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  return typeof body === "object" && body !== null && "code" in body && body.code === CODE;
}

export const confirming: Middleware = {
  onRequest({ request, id }) {
    copies.set(id, request.clone());
    return undefined;
  },
  async onResponse({ response, id }) {
    const copy = copies.get(id);
    copies.delete(id);
    if (copy === undefined || !(await asksAgain(response))) return undefined;
    return (await ask()) ? fetch(copy) : undefined;
  },
  onError({ id }) {
    copies.delete(id);
    return undefined;
  },
};
