// How the page is built: one folder of files whose names change with their content, nothing inline.

import { defineConfig } from "vitest/config";

const API = "http://127.0.0.1:8000";

export default defineConfig({
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // the content policy allows no inline style and no inline script
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": API } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
