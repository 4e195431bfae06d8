import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Viewer } from "../support/people.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// HTTPS, WSS and RTMPS by the server itself, with a certificate from files.

const folder = mkdtempSync(join(tmpdir(), "stagedoor-tls-"));
const certificate = join(folder, "cert.pem");
const key = join(folder, "key.pem");
let server: Stagedoor;

/** A new certificate for this machine, where the server looks for it. */
function renew() {
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", `${key}.new`, "-out", `${certificate}.new`];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, ...files], { stdio: "pipe" });
  for (const file of [key, certificate]) execFileSync("mv", [`${file}.new`, file]);
}

/** The certificate that a new connection is shown. */
function shown(): Promise<string> {
  const { hostname, port } = new URL(server.demo.https_url ?? "");
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

test.beforeAll(async () => {
  renew();
  server = await Stagedoor.start({
    STAGEDOOR_TLS_CERTIFICATE: certificate,
    STAGEDOOR_TLS_KEY: key,
    STAGEDOOR_TLS_HTTPS_LISTEN: "127.0.0.1:0",
    STAGEDOOR_TLS_RTMPS_LISTEN: "127.0.0.1:0",
  });
});

test.afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a broadcast comes in by RTMPS and is watched by HTTPS, also across a new certificate", async ({
  browser,
  publish,
}) => {
  const event = await server.createEvent("Opening night");
  const { code } = await server.invite(event.id, "Ada Lovelace");
  const ingest = await server.api<{ rtmps: { url: string } }>("GET", `/events/${event.id}/ingest`);
  expect(ingest.rtmps.url).toMatch(/^rtmps:\/\//);
  publish(ingest.rtmps.url);
  await streamBecomes(server, event.id, "live");

  const secure = server.demo.https_url ?? "";
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await Viewer.follow(context, `${secure}/e/${event.id}#${code}`);
  const loaded = await page.page.request.get(`${secure}/e/${event.id}`);
  expect(loaded.headers()["strict-transport-security"]).toBe("max-age=31536000");
  await page.watch();
  await pictureAdvances(page.video);
  const [cookie] = (await context.cookies()).filter(({ name }) => name.startsWith("stagedoor_"));
  expect(cookie).toMatchObject({ secure: true, httpOnly: true });
  const protocols = await page.page.evaluate(() => [
    ...new Set(
      performance
        .getEntriesByType("resource")
        .filter(({ name }) => name.includes("/live/"))
        .map((entry) => (entry as PerformanceResourceTiming).nextHopProtocol),
    ),
  ]);
  expect(protocols).toEqual(["h2"]);
  const inside = await server.api<{ data: { watching: boolean; latency_ms: number | null }[] }>(
    "GET",
    `/events/${event.id}/viewers`,
  );
  expect(inside.data).toMatchObject([{ watching: true }]);

  const before = await shown();
  renew();
  await expect.poll(shown, { timeout: 40_000 }).not.toBe(before);
  await pictureAdvances(page.video);
  await context.close();
});

test("whoever says nothing to the encrypted doors is let go", async () => {
  const silent = (url: string) =>
    new Promise<number>((resolve) => {
      const { hostname, port } = new URL(url.replace("rtmps:", "https:"));
      const began = Date.now();
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on("error", () => {});
      socket.on("close", () => resolve(Date.now() - began));
    });
  const { https_url, rtmps_url } = server.demo;
  const kept = await Promise.all([silent(https_url ?? ""), silent(rtmps_url ?? "")]);
  for (const millis of kept) expect(millis).toBeLessThan(12_000);
});
