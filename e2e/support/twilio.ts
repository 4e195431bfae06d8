/** The testkit's Twilio: what becomes of a message is in the end of its number, see `crates/testkit/examples/twilio.rs`. */

import { join } from "node:path";
import { Child } from "./process.ts";

const BINARY =
  process.env.STAGEDOOR_TWILIO ?? join(import.meta.dirname, "../../target/debug/examples/twilio");

export interface Twilio {
  /** What a server needs to send through it. */
  settings: Record<string, string>;
  stop(): Promise<unknown>;
}

export async function twilio(): Promise<Twilio> {
  let ready: (line: string) => void = () => {};
  const line = new Promise<string>((resolve) => {
    ready = resolve;
  });
  const child = new Child("twilio", BINARY, [], { onLine: (text) => ready(text) });
  const early = child.ended.then((ended): never => {
    throw new Error(
      `the Twilio of the testkit ended (cargo build -p stagedoor-testkit --examples):\n${ended.output}`,
    );
  });
  const { url, account_sid, auth_token } = JSON.parse(await Promise.race([line, early])) as {
    url: string;
    account_sid: string;
    auth_token: string;
  };
  return {
    settings: {
      STAGEDOOR_SMS_GATEWAY: "twilio",
      STAGEDOOR_SMS_BASE_URL: url,
      STAGEDOOR_SMS_ACCOUNT_SID: account_sid,
      STAGEDOOR_SMS_AUTH_TOKEN: auth_token,
      STAGEDOOR_SMS_FROM: "+15005550006",
    },
    stop: () => child.stop(),
  };
}
