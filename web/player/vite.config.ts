import { defineConfig } from "vite";

// The page is served at /e/{event}; everything it loads has an absolute, hashed address below /assets/player/.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../dist/player",
    emptyOutDir: true,
    assetsDir: "assets/player",
    // A file that inlines itself as data: would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    // The engine (hls.js) is one chunk of its own and as large as it is.
    chunkSizeWarningLimit: 700,
  },
  worker: { format: "es" },
  server: {
    // `npm run dev -w player` against a running server: STAGEDOOR=http://localhost:8080
    proxy: {
      "/api": { target: process.env.STAGEDOOR ?? "http://localhost:8080", ws: true },
      "/live": { target: process.env.STAGEDOOR ?? "http://localhost:8080" },
    },
  },
});
