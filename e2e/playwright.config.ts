import { defineConfig } from "@playwright/test";

// Two cores carry the server, an encoder and a browser: one test at a time keeps every picture smooth.
export default defineConfig({
  testDir: "tests",
  outputDir: "results",
  workers: 1,
  // A test that needs a second try is a bug, in the test or in Stagedoor.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 60_000,
  globalTimeout: 16 * 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    // Traces cost a core; for a closer look: make e2e ARGS="--trace on -g resumes"
    trace: "off",
    screenshot: "only-on-failure",
    actionTimeout: 10_000,
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
