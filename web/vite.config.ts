import { defineConfig } from "vitest/config";

// The program serves these files under /ui/ with a strict Content-Security-Policy, so nothing is inlined: no data: URL
// for small assets, no polyfill script. `npm run dev` passes API calls on to a program running on the default port.
export default defineConfig({
  base: "/ui/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { target: "es2021", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": "http://127.0.0.1:9001" } },
  test: { include: ["test/*.test.ts"], environment: "node" },
});
