// How the page is built: one folder of files whose names change with their content, nothing inline.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const API = "http://127.0.0.1:8000";

/** A compressed twin beside every file, made once; service/page.py sends it. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  writeBundle({ dir = "" }, bundle) {
    for (const name of Object.keys(bundle).filter((each) => each.startsWith("assets/"))) {
      writeFileSync(join(dir, `${name}.gz`), gzipSync(readFileSync(join(dir, name)), { level: 9 }));
    }
  },
};

/** The page says which build it is; service/page.py reads it there, and src/api/client.ts compares. */
const numbered: Plugin = {
  name: "numbered",
  apply: "build",
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle = {} }) {
      const names = Object.keys(bundle).sort().join();
      const content = createHash("sha256").update(names).digest("hex").slice(0, 8);
      return [{ tag: "meta", attrs: { name: "build", content }, injectTo: "head" }];
    },
  },
};

export default defineConfig({
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // the content policy allows no inline style and no inline script
    modulePreload: { polyfill: false },
  },
  plugins: [compressed, numbered],
  server: { proxy: { "/api": API } },
  test: { include: ["tests/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});
