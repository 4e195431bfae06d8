// CloudFront, viewer request (Lambda@Edge, Node.js 20 or newer): asks the server about the token of a media request, and
// takes it out of the address, so that one copy serves all viewers. The token goes on in a header that is in no cache key.
// Keys and licences are one viewer's own: they go to the server with their token, by behaviours that keep nothing.
// What this needs of the distribution, what it costs, and that it has not been run there: docs/operate/caches.md.

import { Agent, request as ask } from "node:https";

/** CHANGE: where the server itself is reached. Lambda@Edge knows no environment variables. */
const SERVER = "https://origin.example.org";
/** Between the edge and the server; who waits longer is refused. */
const PATIENCE_MS = 2000;

const MEDIA = /^\/live\/([A-Za-z0-9_-]+)\/(str_[0-9a-z]+\/(?:(?:video|audio)\/)?[0-9a-z.]+\.(?:m3u8|m4s|mp4))$/;
/** Kept nowhere, so nobody has to be asked first: the server answers each of them itself. */
const KEYS = /^\/live\/[A-Za-z0-9_-]+\/str_[0-9a-z]+\/(?:key\/[0-9]+|licence)$/;
const agent = new Agent({ keepAlive: true });

function authorized(path, server) {
  return new Promise((resolve) => {
    const asked = ask(`${server}/authorize${path}`, { agent, method: "HEAD", timeout: PATIENCE_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 204);
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

const REFUSED = {
  status: "403",
  headers: {
    "content-type": [{ key: "Content-Type", value: "application/problem+json" }],
    "cache-control": [{ key: "Cache-Control", value: "no-store" }],
    "access-control-allow-origin": [{ key: "Access-Control-Allow-Origin", value: "*" }],
  },
  body: '{"type":"about:blank","title":"Forbidden","status":403,"code":"playback_refused","detail":"This playback link is not valid, or no longer valid. Open the event page and enter your code again."}',
};

/** With another way to ask, for tests. */
export function made(ask) {
  return async (event) => {
    const { request } = event.Records[0].cf;
    // Ours alone: nobody brings it along.
    delete request.headers["x-stagedoor-token"];
    if (KEYS.test(request.uri)) return request;
    const media = MEDIA.exec(request.uri);
    // The distribution keeps nothing of what does not begin with /live/, and what else does is not there.
    if (!media) return request.uri.startsWith("/live/") ? REFUSED : request;
    if (!(await ask(request.uri))) return REFUSED;
    const [, token, name] = media;
    request.uri = `/live/shared/${name}`;
    request.headers["x-stagedoor-token"] = [{ key: "x-stagedoor-token", value: token }];
    delete request.headers.cookie;
    if (!name.endsWith(".m3u8")) request.querystring = "";
    return request;
  };
}

export const handler = made((path) => authorized(path, SERVER));
