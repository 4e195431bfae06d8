// A Chromium without anything that a page could take for tools: driven over a pipe, and never told to open its console
// (`Runtime.enable`), which is what libraries that drive browsers do first. It looks like a person's browser because, but
// for the pipe, it is one.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep } from "./process.mjs";

/** Many of them are drawn by few processors. */
export const WINDOW = { width: 1100, height: 760 };
/** What the frame of a window takes of its height. */
export const FRAME = 120;
const CALL_MS = 20_000;

export class Chromium {
  static async launch() {
    const browser = new Chromium();
    browser.folder = mkdtempSync(join(tmpdir(), "stagedoor-chromium-"));
    // A machine without a mouse says so, and pages take it for a telephone.
    const mouse = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";
    const args = `--headless=new --blink-settings=${mouse} --remote-debugging-pipe --user-data-dir=${browser.folder} --no-sandbox --disable-gpu
      --window-size=${WINDOW.width},${WINDOW.height} --disable-blink-features=AutomationControlled --disable-quic
      --disable-background-media-suspend --disable-backgrounding-occluded-windows --disable-renderer-backgrounding
      --disable-background-timer-throttling --autoplay-policy=no-user-gesture-required --no-first-run --disable-background-networking --disable-sync
      --disable-component-update --mute-audio about:blank`;
    const program = process.env.STAGEDOOR_CHROMIUM ?? "/usr/bin/chromium";
    // As root it would put itself before everybody else on the machine, the server too.
    const command = process.getuid() === 0 ? ["setpriv", "--bounding-set=-sys_nice", program] : [program];
    browser.child = spawn(command[0], [...command.slice(1), ...args.split(/\s+/)], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      // A group of its own, to be put to sleep as a whole.
      detached: true,
    });
    browser.calls = new Map();
    browser.listeners = new Map();
    browser.next = 0;
    let rest = "";
    browser.child.stdio[4].setEncoding("utf8").on("data", (text) => {
      const messages = (rest + text).split("\0");
      rest = messages.pop();
      for (const message of messages) browser.hear(JSON.parse(message));
    });
    browser.child.stdio[3].on("error", () => {});
    browser.ended = new Promise((resolve) => browser.child.once("exit", resolve));
    // A browser without a window says so in its name; a person's does not.
    const { userAgent } = await browser.call("Browser.getVersion");
    browser.userAgent = userAgent.replace("HeadlessChrome", "Chrome");
    return browser;
  }

  hear({ id, result, error, method, params, sessionId }) {
    const call = this.calls.get(id);
    this.calls.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
    if (method) this.listeners.get(sessionId)?.(method, params);
  }

  call(method, params = {}, sessionId) {
    this.next += 1;
    const id = this.next;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${method} was not answered`)), CALL_MS);
      const done = (settle) => (value) => {
        clearTimeout(late);
        settle(value);
      };
      this.calls.set(id, { resolve: done(resolve), reject: done(reject) });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  // A page with cookies of its own, or in another tab of the `person` who has these cookies.
  async page({ person, newWindow = true } = {}) {
    const browserContextId = person ?? (await this.call("Target.createBrowserContext")).browserContextId;
    const window = newWindow ? { ...WINDOW, newWindow } : {};
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank", browserContextId, ...window });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = {
      browser: this,
      person: browserContextId,
      call: (method, params) => this.call(method, params, sessionId),
      on: (listener) => this.listeners.set(sessionId, listener),
      // Runs in a world of its own, as an extension's script does, or in the page's.
      run: async (expression) => {
        const { result, exceptionDetails } = await page.call("Runtime.evaluate", {
          expression,
          returnByValue: true,
          awaitPromise: true,
          userGesture: true,
        });
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      },
      // What goes on in workers of the page, once they are attached to.
      at: (worker, method, params) => this.call(method, params, worker),
      close: async () => {
        this.listeners.delete(sessionId);
        if (person) await this.call("Target.closeTarget", { targetId });
        else await this.call("Target.disposeBrowserContext", { browserContextId });
      },
    };
    await page.call("Network.enable");
    // Each of them is in front of its own person.
    await page.call("Emulation.setFocusEmulationEnabled", { enabled: true });
    await page.call("Network.setUserAgentOverride", { userAgent: this.userAgent });
    return page;
  }

  // The whole browser stands still, as if the lid of its computer were closed, and goes on.
  async sleep(ms) {
    process.kill(-this.child.pid, "SIGSTOP");
    await sleep(ms);
    process.kill(-this.child.pid, "SIGCONT");
  }

  async end() {
    process.kill(-this.child.pid, "SIGKILL");
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
