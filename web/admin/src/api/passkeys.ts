/** Passkeys, between the browser's authenticators and the API. */
import { api, value } from "./client.ts";
import type { PasskeyMade, User } from "./types.ts";

/** Whether this browser has passkeys and speaks of them in JSON, as the Web Authentication standard has it. */
export function browserHasPasskeys(): boolean {
  return typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

/** Nobody answered, or somebody said no: the browser does not tell which. */
export class NoPasskey extends Error {
  /** Whether the device has one of this account already. */
  readonly there: boolean;
  constructor(there: boolean, cause: unknown) {
    super("the browser gave no passkey", { cause });
    this.name = "NoPasskey";
    this.there = there;
  }
}

interface Challenge {
  challenge: string;
  options: unknown;
}

/** What the API takes back. */
interface Signed {
  challenge: string;
  credential: Record<string, never>;
}

/** Makes a passkey on a device and gives it to the account. Asks for the device first, so that it is still at hand. */
export async function addPasskey(name: string): Promise<PasskeyMade> {
  const asked = await value(api.POST("/api/v1/me/passkeys/start"));
  const { publicKey } = asked.options as unknown as { publicKey: PublicKeyCredentialCreationOptionsJSON };
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
  const made = await credential(() => navigator.credentials.create({ publicKey: options }));
  const body = { challenge: asked.challenge, name, credential: made };
  return value(api.POST("/api/v1/me/passkeys", { body }));
}

/** Signs in: alone, or after a right password with its `ticket`. */
export async function signInByPasskey(ticket?: string): Promise<User> {
  const body = ticket === undefined ? {} : { ticket };
  const asked = await value(api.POST("/api/v1/login/passkey/start", { body }));
  return value(api.POST("/api/v1/login/passkey", { body: await signed(asked) }));
}

/** Shows that it is still the same person. */
export async function confirmByPasskey(): Promise<void> {
  const asked = await value(api.POST("/api/v1/me/confirm/passkey"));
  await value(api.POST("/api/v1/me/confirm", { body: { passkey: await signed(asked) } }));
}

async function signed({ challenge, options }: Challenge): Promise<Signed> {
  const { publicKey } = options as { publicKey: PublicKeyCredentialRequestOptionsJSON };
  const parsed = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
  return { challenge, credential: await credential(() => navigator.credentials.get({ publicKey: parsed })) };
}

/** The schema has it as any object: its shape is the standard's. */
async function credential(ask: () => Promise<Credential | null>): Promise<Record<string, never>> {
  let answer: Credential | null;
  try {
    answer = await ask();
  } catch (cause) {
    throw new NoPasskey(cause instanceof DOMException && cause.name === "InvalidStateError", cause);
  }
  if (!(answer instanceof PublicKeyCredential)) throw new NoPasskey(false, null);
  return answer.toJSON() as unknown as Record<string, never>;
}
