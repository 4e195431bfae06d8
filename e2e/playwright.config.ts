import { defineConfig } from "@playwright/test";

// What organisers do at their desks, and what other players and caches do: a picture that stutters is a picture there. Both
// projects take about as long.
const DESK =
  /tests\/(accounts|caches|door|export|invite|log|looks|organiser|payloads|players|policy|protection|provider|states|tls|webhooks)\.spec\.ts$/;

// Two cores carry the server, an encoder and a browser: one broadcast at a time keeps every picture smooth, and what
// waits for it leaves room for a desk.
export default defineConfig({
  testDir: "tests",
  outputDir: "results",
  workers: 2,
  projects: [
    { name: "stage", testIgnore: DESK, workers: 1 },
    { name: "desk", testMatch: DESK, workers: 1 },
  ],
  // A test that needs a second try is a bug, in the test or in Stagedoor.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  // What ends a test that hangs, not what proves that something is fast: a machine may take twice as long on another day.
  timeout: 120_000,
  globalTimeout: 50 * 60_000,
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  use: {
    // Traces cost a core; for a closer look: make e2e ARGS="--trace on -g resumes"
    trace: "off",
    screenshot: "only-on-failure",
    actionTimeout: 20_000,
    launchOptions: {
      executablePath: process.env.STAGEDOOR_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
