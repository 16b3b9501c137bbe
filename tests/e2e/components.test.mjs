// The page's own tests (`app/src/tests.rs` and the unit tests beside it), in the browser that the rest is tested in.
// wasm-bindgen's runner serves them; each is a test of its own here. `cargo xtask test` compiles them and names the file
// in PAGE_TESTS; by hand: the .wasm that
//   cargo test --no-run --release --package lab-app --target wasm32-unknown-unknown     names last.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, openWindow, waitFor } from './harness.mjs';

/** Serves the tests for as long as `t` runs; resolves to their address. */
async function serve(t, wasm) {
  const runner = spawn('wasm-bindgen-test-runner', [wasm], {
    env: { ...process.env, NO_HEADLESS: '1', WASM_BINDGEN_TEST_ADDRESS: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => runner.kill());
  const failed = new Promise((_, reject) => {
    runner.on('error', (error) => reject(new Error(`wasm-bindgen-test-runner did not start (${error.message}): cargo xtask setup installs it`)));
    runner.on('exit', (code) => reject(new Error(`wasm-bindgen-test-runner ended with ${code} before it served anything`)));
  });
  failed.catch(() => {});
  const told = (async () => {
    for await (const line of createInterface({ input: runner.stdout })) {
      const address = /available at (http\S+)/.exec(line);
      if (address) return address[1];
    }
    throw new Error('wasm-bindgen-test-runner told no address');
  })();
  return Promise.race([told, failed]);
}

test("the page's own tests", { timeout: 180_000 }, async (t) => {
  assert.ok(process.env.PAGE_TESTS, 'PAGE_TESTS is not set: run `cargo xtask test --web`, or see this file');
  const address = await serve(t, process.env.PAGE_TESTS);
  // The runner's page has no picture for its tab.
  const { page } = await openWindow(t, { ...WITHOUT_WEBGPU, allow: [...WITHOUT_WEBGPU.allow, /favicon\.ico/] });
  await page.goto(address);
  await waitFor(page, 'the verdict', () => /test result: /.test(document.querySelector('#output')?.textContent ?? ''));
  const output = await page.locator('#output').textContent();
  const lines = [...output.matchAll(/^test (\S+) \.\.\. (\w+)/gm)];
  assert.ok(lines.length > 0, output);
  for (const [, name, verdict] of lines) await t.test(name, () => assert.equal(verdict, 'ok', output));
  assert.match(output, /test result: ok\./, output);
});
