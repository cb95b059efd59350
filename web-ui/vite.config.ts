import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { mockLine } from './mock/server.ts';

// `npm run dev` speaks to a made-up line; `INSPECTD=http://127.0.0.1:8787 npm run dev` to a real daemon.
const daemon = process.env.INSPECTD;

/** Each file a second time, packed: the daemon sends that one to browsers, which all unpack, and packs nothing while a line runs. */
const packed = (): Plugin => ({
  name: 'packed',
  apply: 'build',
  writeBundle({ dir = '' }, files) {
    for (const name of Object.keys(files)) {
      const path = join(dir, name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  },
});

export default defineConfig({
  plugins: [svelte(), packed(), ...(daemon ? [] : [mockLine()])],
  server: daemon ? { proxy: { '/api': daemon } } : {},
  build: {
    target: 'es2022',
    // The page is embedded in the binary: no source maps, and no asset turned into a data: URL, which the CSP would refuse.
    assetsInlineLimit: 0,
    // Old browsers need it; the ones this page asks for do not, and its inline script would break the CSP.
    modulePreload: { polyfill: false },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
