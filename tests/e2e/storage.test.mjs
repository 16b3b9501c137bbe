// Models kept in the browser: cut and resumed, checked, refused, listed, deleted, loaded without a network; and the page
// itself without one. A small server of the test's own spoils the deliveries (site.mjs).

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, openWindow, until, waitFor } from './harness.mjs';
import * as giant from './giant.mjs';
import { sha256, startSite } from './site.mjs';

const golden = (path) => readFile(fileURLToPath(new URL(`../golden/models/${path}`, import.meta.url)));
const byTest = (name) => `[data-testid="${name}"]`;
const WEIGHTS = '/models/tiny/model.safetensors';

/** Files of a small model under a folder of the site. */
async function model(folder, name = 'dinov2-mlp') {
  const parts = await Promise.all(['config.json', 'model.safetensors'].map(async (file) => [`${folder}/${file}`, await golden(`${name}/${file}`)]));
  return Object.fromEntries(parts);
}

/** A page of the site that only speaks to the engine's worker. */
async function openStore(t, site, options = {}) {
  const allow = [...WITHOUT_WEBGPU.allow, /status of 404/, /failed request: 404/, ...(options.allow ?? [])];
  const browser = await openWindow(t, { ...WITHOUT_WEBGPU, ...options, allow });
  await browser.page.goto(site.url('examples/embed.html?engine=cpu'));
  await waitFor(browser.page, 'the engine', () => window.lab?.example || window.lab?.failure);
  const ask = (command) =>
    browser.page.evaluate(async (command) => {
      const notes = [];
      window.progress = [];
      try {
        const { event } = await window.lab.example.model.lab.ask({ do: 'storage', ...command });
        return { ...event, notes };
      } catch (error) {
        return { error: error.message, notes };
      }
    }, command);
  const fetch = (source, mirror = '') => ask({ ask: 'fetch', source, mirror });
  const files = (key) =>
    browser.page.evaluate(async (key) => {
      try {
        const root = await navigator.storage.getDirectory();
        const models = await root.getDirectoryHandle('models');
        const found = [];
        const folder = key ? await models.getDirectoryHandle(key) : models;
        for await (const name of folder.keys()) found.push(name);
        return found.sort();
      } catch {
        return null;
      }
    }, key);
  return { ...browser, ask, fetch, files };
}

test('a download cut in the middle goes on by a range, and its hash is right', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  const weights = site.files[WEIGHTS];
  site.rules[WEIGHTS] = { cutAt: 200_000 };
  const { fetch, ask, page } = await openStore(t, site, { allow: [/ERR_CONTENT_LENGTH_MISMATCH/, /ERR_CONNECTION/, /ERR_INCOMPLETE/] });
  // By itself: the first answer is cut at 200 000 bytes, the second gives the rest.
  const found = await fetch('/models/tiny/');
  assert.equal(found.error, undefined, found.error);
  const kept = found.model.files.find((file) => file.name === 'model.safetensors');
  assert.equal(kept.sha256, sha256(weights));
  assert.equal(kept.bytes, weights.length);
  const asked = site.log.filter(([path]) => path === WEIGHTS);
  assert.deepEqual(asked.map(([, , status]) => status), [200, 206]);
  const from = Number(/^bytes=(\d+)-$/.exec(asked[1][1])[1]);
  assert.ok(from > 0 && from <= 200_000, `it went on from ${from}`);
  assert.equal(found.received, weights.length + site.files['/models/tiny/config.json'].length, 'bytes came twice');

  // It loads without asking the server again, and a second fetch asks for nothing.
  site.log.length = 0;
  const again = await fetch('/models/tiny/');
  assert.equal(again.received, 0);
  const info = await page.evaluate(async (key) => {
    const { event } = await window.lab.example.model.lab.ask({ do: 'load_model', source: { from: 'stored', key } });
    return event.model;
  }, found.model.key);
  assert.equal(info.embed_dim, 64);
  assert.deepEqual(site.log, []);

  // Listed with what it is, deleted with nothing left.
  const listed = await ask({ ask: 'list' });
  assert.deepEqual(listed.models.map((model) => [model.complete, model.key]), [[true, found.model.key]]);
  assert.ok(listed.usage > 0 && listed.quota > listed.usage);
  const left = await ask({ ask: 'delete', key: found.model.key });
  assert.deepEqual(left.models, []);
});

test('a download cut by a closed page goes on later, and the bytes on the disk are hashed anew', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  const { fetch, page } = await openStore(t, site, { allow: [/ERR_/] });
  // Half of it comes, then nothing for a long time.
  site.rules[WEIGHTS] = { wait: 30_000, etag: '"one"' };
  const files = site.files[WEIGHTS];
  await page.evaluate(() => {
    const lab = window.lab.example.model.lab;
    lab.ask({ do: 'storage', ask: 'fetch', source: '/models/tiny/', mirror: '' }).catch(() => {});
  });
  const bytes = () =>
    page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const models = await root.getDirectoryHandle('models');
      for await (const folder of models.values()) {
        for await (const [name, handle] of folder.entries()) {
          if (name === 'model.safetensors') return (await handle.getFile()).size;
        }
      }
      return 0;
    });
  await until('some bytes', bytes, { timeout: 60_000 });
  await page.reload();
  await waitFor(page, 'the engine', () => window.lab?.example || window.lab?.failure);
  site.rules[WEIGHTS] = { etag: '"one"' };
  site.log.length = 0;
  const found = await fetch('/models/tiny/');
  assert.equal(found.error, undefined, found.error);
  assert.equal(found.model.files.find((file) => file.name === 'model.safetensors').sha256, sha256(files));
  const [, range] = site.log.find(([path]) => path === WEIGHTS);
  assert.match(range, /^bytes=\d+-$/, 'it began anew');
});

test('what was promised of the bytes holds when their download goes on', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  const { fetch, ask } = await openStore(t, site, { allow: [/ERR_/] });
  site.rules[WEIGHTS] = { wait: 30_000 };
  const cut = fetch(`/models/tiny/#sha256=${'ab'.repeat(32)}`);
  await until('the first half', () => site.log.some(([path]) => path === WEIGHTS));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await ask({ ask: 'cancel' });
  assert.match((await cut).error, /are kept: fetch it again/);
  site.rules[WEIGHTS] = {};
  // As "Go on" does it: by the address alone.
  const refused = await fetch('/models/tiny/');
  assert.match(refused.error ?? '', /SHA-256 is [0-9a-f]{64}, the address says abab/);
  assert.deepEqual((await ask({ ask: 'list' })).models, []);
});

test('a file that changed, or a server without ranges, begins anew and says so', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  const { fetch, page } = await openStore(t, site, { allow: [/ERR_/] });
  await page.evaluate(() => {
    window.warnings = [];
    console.warn = (message) => window.warnings.push(message);
  });
  site.rules[WEIGHTS] = { cutAt: 100_000, ranges: false };
  const cut = fetch('/models/tiny/');
  await until('the first answer', () => site.log.some(([path]) => path === WEIGHTS));
  site.rules[WEIGHTS] = { ranges: false };
  const found = await cut;
  assert.equal(found.error, undefined, found.error);
  assert.equal(found.model.files.find((file) => file.name === 'model.safetensors').sha256, sha256(site.files[WEIGHTS]));
  assert.ok((await page.evaluate(() => window.warnings)).some((words) => /anew as a whole/.test(words)));
});

test('wrong bytes are refused with a sentence and nothing is kept', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  const { fetch, ask, files } = await openStore(t, site);
  const wrong = 'ab'.repeat(32);
  const refused = await fetch(`/models/tiny/#sha256=${wrong}`);
  assert.match(refused.error, /SHA-256 is [0-9a-f]{64}, the address says abab/);
  assert.match(refused.error, /nothing was kept/);
  assert.deepEqual((await ask({ ask: 'list' })).models, []);
  assert.ok(((await files('')) ?? []).length === 0, 'a folder is left');
  // The right one is taken, and who vouched for it is remembered.
  const right = await fetch(`/models/tiny/#sha256=${sha256(site.files[WEIGHTS])}`);
  assert.equal(right.model.files.find((file) => file.name === 'model.safetensors').vouched, 'address');
  // What is no address, what is no model, what is not there.
  for (const [source, words] of [['two words', /no address/], ['/models/none/', /none of model\.safetensors/], ['a/b#sha256=12', /64 hexadecimal/]]) {
    const { error } = await fetch(source, site.url('hub'));
    assert.match(error ?? '', words, source);
  }
});

test('a repository of a hub: listed files, the hub vouches, a lie is found', { timeout: 120_000 }, async (t) => {
  const files = await model('/hub/lab/tiny/resolve/main');
  const weights = files['/hub/lab/tiny/resolve/main/model.safetensors'];
  const list = (oid) => JSON.stringify([
    { type: 'file', path: 'README.md', size: 3 },
    { type: 'file', path: 'config.json', size: files['/hub/lab/tiny/resolve/main/config.json'].length },
    { type: 'file', path: 'model.safetensors', size: weights.length, lfs: { oid, size: weights.length } },
  ]);
  const site = await startSite(t, { ...files, '/hub/api/models/lab/tiny/tree/main': Buffer.from(list('cd'.repeat(32))) });
  const { fetch, ask, problems } = await openStore(t, site);
  const refused = await fetch('lab/tiny', site.url('hub'));
  assert.match(refused.error, /the hub says cdcd/);
  site.files['/hub/api/models/lab/tiny/tree/main'] = Buffer.from(list(sha256(weights)));
  const found = await fetch('lab/tiny', site.url('hub'));
  assert.equal(found.error, undefined, found.error);
  assert.deepEqual([found.model.name, found.model.source], ['lab/tiny', 'lab/tiny']);
  assert.equal(found.model.files.find((file) => file.name === 'model.safetensors').vouched, 'hub');
  // Nothing was asked for that the hub does not list.
  assert.ok(!site.log.some(([path]) => path.includes('preprocessor')));
  assert.deepEqual(problems, []);
  await ask({ ask: 'delete', key: found.model.key });
  // Without a list, the mark that the hub gives to large files vouches.
  delete site.files['/hub/api/models/lab/tiny/tree/main'];
  site.rules['/hub/lab/tiny/resolve/main/model.safetensors'] = { linked: `"${'ef'.repeat(32)}"` };
  assert.match((await fetch('lab/tiny', site.url('hub'))).error, /the hub says efef/);
});

test('a model in shards is kept whole', { timeout: 120_000 }, async (t) => {
  const folder = '/models/shards';
  const names = ['config.json', 'model.safetensors.index.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const files = Object.fromEntries(await Promise.all(names.map(async (name) => [`${folder}/${name}`, await golden(`dinov2-mlp-sharded/${name}`)])));
  const site = await startSite(t, files);
  const { fetch, page } = await openStore(t, site);
  const found = await fetch('/models/shards/');
  assert.equal(found.error, undefined, found.error);
  assert.equal(found.model.files.length, 4);
  const info = await page.evaluate(async (key) => (await window.lab.example.model.lab.ask({ do: 'load_model', source: { from: 'stored', key } })).event.model, found.model.key);
  assert.equal(info.embed_dim, 64);
  // The address itself still loads by ranges, without the store: the JavaScript API on other sites.
  site.log.length = 0;
  const direct = await page.evaluate(async () => (await window.lab.Model.on(window.lab.example.model.lab, '/models/shards/')).info.embed_dim);
  assert.equal(direct, 64);
  // Each shard is smaller than a piece: its header and its tensors come by one request.
  const ranges = site.log.filter(([, range, status]) => range && status === 206);
  assert.equal(ranges.length, 2, `a request a shard: ${JSON.stringify(ranges)}`);
});

test('a model that finds no room is refused before its weights come', { timeout: 120_000 }, async (t) => {
  // Ten blocks: too much for the engine, and for the disk, which is asked later: nobody need delete anything for nothing.
  const { header, bytes } = giant.whole(10);
  const { files: shards, index } = giant.shards(3, 10);
  const config = Buffer.from(JSON.stringify(giant.config(10)));
  const site = await startSite(t, {
    '/models/giant/config.json': config,
    '/models/giant/model.safetensors': header,
    '/models/shards/config.json': config,
    '/models/shards/model.safetensors.index.json': Buffer.from(index),
    ...Object.fromEntries(shards.map((shard) => [`/models/shards/${shard.name}`, shard.header])),
  });
  site.rules['/models/giant/model.safetensors'] = { total: bytes };
  for (const shard of shards) site.rules[`/models/shards/${shard.name}`] = { total: shard.bytes };
  // Left in the middle, which is what is wanted.
  const { fetch, files, ask, context, page } = await openStore(t, site, { allow: [/\.safetensors net::ERR_ABORTED/] });
  const session = await context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(site.url()).origin, quotaSize: 2_000_000_000 });
  for (const [folder, requests] of [['/models/giant/', 1], ['/models/shards/', 3]]) {
    site.log.length = 0;
    const { error } = await fetch(folder);
    assert.match(error, /needs 8\.\d GB.*of 4\.2 GB.*take facebook\/webssl-dino300m-full2b-224.*Its weights were not fetched/);
    const asked = site.log.filter(([path]) => path.endsWith('.safetensors'));
    assert.equal(asked.length, requests, `${JSON.stringify(site.log)}`);
    assert.deepEqual((await ask({ ask: 'list' })).models, [], 'something is kept');
    assert.deepEqual(await files(), [], 'something lies there');
  }
});

test('that a large file comes into memory whole is said before it comes', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, await model('/models/tiny'));
  // So many bytes are told; the first come, and then nothing.
  site.rules[WEIGHTS] = { ranges: false, total: 900_000_000 };
  const { page } = await openStore(t, site, { allow: [/\.safetensors net::ERR_ABORTED/] });
  const [told, end] = await page.evaluate(async () => {
    const { Lab, Model } = window.lab;
    let tell;
    const warned = new Promise((resolve) => (tell = resolve));
    const lab = await Lab.open({ engine: 'cpu', onWarning: tell });
    const ended = Model.on(lab, '/models/tiny/').catch((error) => error.message);
    const told = await Promise.race([warned, ended]);
    lab.close();
    return [told, await ended];
  });
  assert.match(told, /^The server gives no ranges, so all 900 MB of model\.safetensors come into memory/);
  assert.match(end, /The lab was closed/);
});

test('a full disk is said, with what to delete', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, { ...(await model('/models/tiny')), ...(await model('/models/other')) });
  const { fetch, ask, context, page } = await openStore(t, site);
  assert.equal((await fetch('/models/other/')).error, undefined);
  const { usage } = await ask({ ask: 'list' });
  const session = await context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(site.url()).origin, quotaSize: usage + 100_000 });
  const { error } = await fetch('/models/tiny/');
  assert.match(error, /needs 0\.\d MB more|no more room/);
  assert.match(error, /delete from the stored models .*models\/other \(0\.\d MB\)/);
});

/** Opens the page of a site and tells it that the hub is there too. */
async function openOnHub(page, site) {
  await page.goto(site.url('#sample=reef'));
  await waitFor(page, 'the first picture', () => window.lab?.debug?.images?.['reef.jpg']);
  await page.locator(`${byTest('stored')} details summary`).click();
  await page.locator(byTest('mirror')).fill(site.url('hub'));
  await page.locator(byTest('mirror')).blur();
}

test('the panel fetches, shows, loads, and deletes; the page works without a network from then on', { timeout: 240_000 }, async (t) => {
  const site = await startSite(t, await model('/hub/lab/tiny/resolve/main'));
  const browser = await openWindow(t, {
    ...WITHOUT_WEBGPU, serviceWorkers: 'allow',
    allow: [...WITHOUT_WEBGPU.allow, /404/, /ERR_INTERNET_DISCONNECTED/, /ERR_CONNECTION_REFUSED/, /ERR_FAILED/],
  });
  const { page, problems } = browser;
  await openOnHub(page, site);
  await page.locator(byTest('model-url')).fill('lab/tiny');
  await page.locator(byTest('model-url')).press('Enter');
  await waitFor(page, 'the model at work', () => /lab\/tiny/.test(document.querySelector('[data-testid="model-select"]').textContent), { timeout: 60_000 });
  const kept = page.locator(byTest('kept-lab/tiny'));
  assert.match(await kept.textContent(), /\d+\.\d KB.*SHA-256 [0-9a-f]{12}…/);
  await waitFor(page, 'the word that all is kept', () => document.querySelector('[data-testid="offline"]'), { timeout: 60_000 });
  assert.match(await page.evaluate(() => location.hash), /model=lab\/tiny/);
  // The page's own files and the model, some megabytes, are counted.
  await waitFor(page, 'what it takes', () => /takes \d+\.\d MB of/.test(document.querySelector('[data-testid="stored-room"]').textContent), { timeout: 20_000 });
  assert.deepEqual(problems, []);

  // The server is gone; the page, its engine, the sample and the model are there.
  await site.stop();
  await page.reload();
  await waitFor(page, 'the model without a network', () => /lab\/tiny/.test(document.querySelector('[data-testid="model-select"]')?.textContent), { timeout: 60_000 });
  await waitFor(page, 'the sample by that model', () => window.lab?.debug?.images?.['reef.jpg']?.dim === 64, { timeout: 60_000 });

  // It came before any other model was shown: no word of other weights, and the address never lost it.
  assert.doesNotMatch(await page.locator('[role=alert]').textContent(), /other weights|asks for/);
  assert.match(await page.evaluate(() => location.hash), /model=lab\/tiny&weights=[0-9a-f]/);

  // The question stays when its row is drawn anew, as after the model was used.
  const row = page.locator(byTest('kept-lab/tiny'));
  await row.getByText('Delete').click();
  await row.evaluate((row) => { row.dataset.old = 'yes'; });
  await row.getByText('Load', { exact: true }).click();
  await waitFor(page, 'a new row', () => document.querySelector('[data-testid="kept-lab/tiny"]:not([data-old])'));
  // Deleted: the space is free.
  await page.locator(byTest('delete-sure')).click();
  await waitFor(page, 'an empty list', () => !document.querySelector('[data-testid="kept-lab/tiny"]'));
  const left = await page.evaluate(async () => {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
    const names = [];
    for await (const name of models.keys()) names.push(name);
    return names;
  });
  assert.deepEqual(left, []);
});

test('a newer version of the page is told, and old files go', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t);
  // What is on its way while the page is opened anew is given up.
  const { page } = await openWindow(t, { ...WITHOUT_WEBGPU, serviceWorkers: 'allow', allow: [...WITHOUT_WEBGPU.allow, /ERR_ABORTED/] });
  await page.goto(site.url());
  await waitFor(page, 'the page to be kept', () => window.lab?.offline === 'ready', { timeout: 60_000 });
  const before = await page.evaluate(() => caches.keys());
  assert.equal(before.length, 1);
  // Another sample, and the list that names it: a new version.
  const worker = await (await fetch(site.url('sw.js'))).text();
  const sample = Buffer.from(await (await fetch(site.url('samples/lemons.jpg'))).arrayBuffer());
  const manifest = JSON.parse(worker.match(/^const MANIFEST = (.*);$/m)[1]);
  const changed = Buffer.concat([sample, Buffer.from('newer')]);
  const next = { ...manifest, version: 'newer', files: { ...manifest.files, 'samples/lemons.jpg': { first: true, sha256: sha256(changed) } } };
  site.files['/sw.js'] = Buffer.from(worker.replace(/^const MANIFEST = .*;$/m, () => `const MANIFEST = ${JSON.stringify(next)};`));
  site.files['/samples/lemons.jpg'] = changed;
  await page.reload();
  await waitFor(page, 'the word of a newer version', () => document.querySelector('[data-testid="update"]'), { timeout: 60_000 });
  await page.locator(`${byTest('update')} button`).click();
  // The page opens anew meanwhile: what is asked of the old one is lost.
  const newer = () => page.evaluate(async () => (await caches.keys()).join() === 'lab-newer');
  await until('the caches of the newer version alone', newer, { timeout: 60_000 });
  await waitFor(page, 'the newer page', () => window.lab?.offline === 'ready', { timeout: 60_000 });
  const bytes = await page.evaluate(async () => (await (await fetch('samples/lemons.jpg')).arrayBuffer()).byteLength);
  assert.equal(bytes, changed.length);
});

test('a weight larger than a binding is split, and the numbers stay', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t);
  const { page, check } = await openWindow(t);
  await page.goto(site.url('examples/embed.html?engine=gpu'));
  await waitFor(page, 'the gpu engine', () => window.lab?.example || window.lab?.failure, { timeout: 240_000 });
  const files = await Promise.all(['config.json', 'model.safetensors', 'io.safetensors'].map(async (name) => ({ name, base64: (await golden(`dinov2-mlp/${name}`)).toString('base64') })));
  // Weights of 64 x 64 and 192 x 64 floats: 16 and 48 KiB. Held to 5000 bytes each goes in pieces of 19 rows.
  const report = await page.evaluate(async (list) => {
    const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const { model } = window.lab.example;
    await model.lab.ask({ do: 'limit_binding', bytes: 5000 });
    return model.parity(list.map(({ name, base64 }) => new File([bytes(base64)], name)), { atol: 1e-4, rtol: 1e-4 });
  }, files);
  assert.ok(report.passed, JSON.stringify(report.tensors.filter((tensor) => !tensor.passed)));
  check();
});

test('a second model is fetched, kept and offered, and a link finds it there', { timeout: 180_000 }, async (t) => {
  const site = await startSite(t, await model('/hub/lab/tiny/resolve/main'));
  const { page } = await openWindow(t, { ...WITHOUT_WEBGPU, allow: [...WITHOUT_WEBGPU.allow, /404/] });
  await openOnHub(page, site);
  await page.locator(byTest('compare-url')).fill('lab/tiny');
  await page.locator(byTest('compare-fetch')).click();
  const beside = () => waitFor(page, 'the second model', () => /lab\/tiny/.test(document.querySelector('[data-testid="other-model"]')?.textContent), { timeout: 60_000 });
  await beside();
  assert.doesNotMatch(await page.locator(`${byTest('model-select')} strong`).textContent(), /lab/, 'the first model changed');
  assert.equal(await page.locator(byTest('kept-lab/tiny')).count(), 1);
  const hash = await page.evaluate(() => location.hash);
  assert.match(hash, /compare=lab\/tiny/);
  site.log.length = 0;
  await page.reload();
  await beside();
  assert.deepEqual(site.log, [], 'it was fetched anew');
  assert.equal(await page.evaluate(() => location.hash), hash);
  await page.locator(byTest('compare')).selectOption('');
  await waitFor(page, 'no second model', () => !document.querySelector('[data-testid="other-model"]'));
  await page.locator(byTest('compare')).selectOption('lab/tiny');
  await beside();
});
