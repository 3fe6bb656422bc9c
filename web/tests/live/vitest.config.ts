// The engine against a running service; tests/test_engine.py starts both.

import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["tests/live/*.live.ts"], testTimeout: 60_000 } });
