// The built page opens, isolated and under its own strict policy, and nothing complains.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labUrl, openLab, waitFor } from './harness.mjs';

test('the page opens without a problem', async (t) => {
  const { page } = await openLab(t);
  assert.notEqual((await page.title()).trim(), '');
  await waitFor(page, 'the JavaScript API window.lab', () => typeof window.lab === 'object');
  assert.equal(await page.evaluate(() => crossOriginIsolated), true, 'COOP/COEP headers are missing');
});

test('the policy allows no inline script and no foreign host', async () => {
  const response = await fetch(labUrl());
  const [header, html] = [response.headers.get('content-security-policy'), await response.text()];
  const tag = html.match(/<meta[^>]*http-equiv="Content-Security-Policy"[^>]*>/i)?.[0];
  assert.ok(tag, 'the page has no Content-Security-Policy of its own');
  for (const part of tag.match(/content="([^"]*)"/)[1].split(';').map((text) => text.trim().replace(/\s+/g, ' '))) {
    assert.ok(header.includes(part), `the server does not send: ${part}`);
  }
  assert.doesNotMatch(header, /unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|\*/);
  const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([^<]*)<\/script>/g)].filter(([, text]) => text.trim());
  assert.deepEqual(inline.map(([whole]) => whole), [], 'inline scripts');
});

test('the engines are what the manifest says', async () => {
  const manifest = await (await fetch(labUrl('engine/manifest.json'))).json();
  assert.deepEqual(Object.keys(manifest.engines).sort(), ['cpu', 'gpu']);
  for (const [name, { files, script, wasm }] of Object.entries(manifest.engines)) {
    assert.ok(files[script] && files[wasm], `${name}: script or wasm is not among the files`);
    for (const [file, { bytes, sha256 }] of Object.entries(files)) {
      const response = await fetch(labUrl(`engine/${name}/${file}`));
      assert.equal(response.status, 200, file);
      if (file.endsWith('.wasm')) assert.equal(response.headers.get('content-type'), 'application/wasm');
      const body = await response.arrayBuffer();
      assert.equal(body.byteLength, bytes, `${name}/${file}`);
      const hash = Buffer.from(await crypto.subtle.digest('SHA-256', body)).toString('hex');
      assert.equal(hash, sha256, `${name}/${file}`);
    }
  }
});
