import { defineConfig } from "vitest/config";

// The page is served under a policy without inline code: nothing may be inlined, neither as data: nor as a polyfill.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  test: { environment: "node", include: ["test/**/*.test.ts"], testTimeout: 60_000 },
  server: { proxy: { "/api": "http://127.0.0.1:8099" } },
});
