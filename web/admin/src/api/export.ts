/** A list of invitees on its way out, with how much of it has come. */
import type { ExportFormat, ExportWho } from "../model/invitations.ts";
import { api, value } from "./client.ts";
import { networkError } from "./problem.ts";

/**
 * Downloads a list. `tell` hears the bytes that have come. A list that breaks off is an error and no file; an abort
 * rejects with the usual `AbortError`.
 */
export async function takeList(
  event: string,
  who: ExportWho,
  format: ExportFormat,
  tell: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const body = await value(
    api.GET("/api/v1/events/{event}/invitations/export", {
      params: { path: { event }, query: { ...who, format } },
      parseAs: "stream",
      signal,
    }),
  );
  if (body === null) throw networkError(new Error("an answer without a body"));
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value: piece } = await reader.read();
      if (done) return new Blob(pieces);
      bytes += piece.byteLength;
      pieces.push(piece);
      tell(bytes);
    }
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new BrokenOff(cause);
  }
}

/** What has come is not the whole list. */
export class BrokenOff extends Error {
  constructor(cause: unknown) {
    super("the list broke off", { cause });
    this.name = "BrokenOff";
  }
}
