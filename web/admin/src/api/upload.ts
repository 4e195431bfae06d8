/** A file on its way to the server, with how far it is: the one thing `fetch` cannot tell. */
import { typeOf } from "../model/mapping.ts";
import { ApiError, networkError, readProblem } from "./problem.ts";
import type { Import } from "./types.ts";

/** Uploads a list. `tell` hears the share that is sent, from 0 to 1. An abort rejects with the usual `AbortError`. */
export function upload(
  event: string,
  file: File,
  tell: (share: number) => void,
  signal: AbortSignal,
): Promise<Import> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ name: file.name });
    request.open("POST", `/api/v1/events/${encodeURIComponent(event)}/imports?${query}`);
    request.setRequestHeader("Content-Type", typeOf(file));
    request.upload.onprogress = ({ loaded, total }) => tell(total > 0 ? loaded / total : 0);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) {
        try {
          resolve(JSON.parse(request.responseText) as Import);
        } catch (cause) {
          reject(networkError(cause));
        }
        return;
      }
      const headers = new Headers();
      const wait = request.getResponseHeader("Retry-After");
      if (wait !== null) headers.set("Retry-After", wait);
      reject(new ApiError(readProblem(request.responseText, request.status, headers)));
    };
    request.onerror = () => reject(networkError(new Error("the upload was cut")));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
