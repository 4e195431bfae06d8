import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where a running `stagedoor` answers while the pages are being worked on. */
const server = process.env.STAGEDOOR_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../dist/admin",
    emptyOutDir: true,
    assetsDir: "assets/admin",
    // The pages are served under `default-src 'self'`: nothing may be folded into a data URL or inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    // What every page needs is shared and kept by the browser for good; an event's setup comes when it is opened.
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: { "/api": { target: server, ws: true } },
  },
  test: {
    include: ["src/**/*.test.ts"],
  },
});
