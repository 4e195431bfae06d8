/** Works out one proof off the main thread, answers with its nonce. */
import { type Challenge, prove } from "./proof.ts";

const worker = self as unknown as DedicatedWorkerGlobalScope;
worker.onmessage = (event: MessageEvent<Challenge>) => worker.postMessage(prove(event.data));
