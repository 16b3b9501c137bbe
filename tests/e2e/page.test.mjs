// The page as people use it: a result before any click, a dropped picture, the three views, the network cut.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { ONE_SAMPLE_ON_CPU, WITHOUT_WEBGPU, cosine, dropFiles, labUrl, openLab, openWindow, tasks, waitFor } from './harness.mjs';
import * as giant from './giant.mjs';

const photo = (name) => readFile(fileURLToPath(new URL(`../../public/samples/${name}`, import.meta.url)));
const byTest = (name) => `[data-testid="${name}"]`;

/** Waits until a view has drawn and returns a picture of it. */
async function picture(page, view) {
  await waitFor(page, `numbers below ${view}`, (selector) =>
    document.querySelector(selector)?.closest('figure')?.querySelector('.time')?.textContent.includes('ms'),
  { argument: byTest(view) });
  await page.waitForTimeout(600);
  return page.locator(`${byTest(view)} canvas`).screenshot();
}

const embedded = (page, name) =>
  waitFor(page, `the embedding of ${name}`, (name) => window.lab?.debug?.images?.[name], { argument: name });

test('a result is there before any click, and the page says what computes', async (t) => {
  const { page, check } = await openLab(t, WITHOUT_WEBGPU);
  await embedded(page, 'ginger-cat.jpg');
  const pictures = [];
  for (const view of ['view-attention', 'view-pca', 'view-similarity']) pictures.push(await picture(page, view));
  assert.ok(!pictures[0].equals(pictures[1]) && !pictures[1].equals(pictures[2]), 'three views show the same');
  assert.match(await page.locator(byTest('engine-status')).textContent(), /CPU engine/);
  assert.match(await page.locator(byTest('untrained')).textContent(), /untrained/);
  check();
});

test('a visitor meets a network that has learned', { timeout: 240_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, trained: true });
  await embedded(page, 'ginger-cat.jpg');
  assert.match(await page.locator(byTest('model-select')).textContent(), /tiny DINO/);
  assert.equal(await page.locator(byTest('untrained')).count(), 0);
  await waitFor(page, 'the address', () => /model=tiny-dino&weights=[0-9a-f]{16}/.test(location.hash));
  check();

  // Where its weights do not come, the page says so and goes on with random ones.
  const without = await openWindow(t, { ...ONE_SAMPLE_ON_CPU, allow: [...WITHOUT_WEBGPU.allow, /404/, /model\.safetensors net::ERR_ABORTED/] });
  await without.context.route('**/tiny-dino/model.safetensors', (route) => route.fulfill({ status: 404 }));
  await without.page.goto(labUrl());
  await embedded(without.page, 'ginger-cat.jpg');
  assert.match(await without.page.locator('[role=alert]').textContent(), /weights\/tiny-dino\/ is no model/);
  assert.match(await without.page.locator(byTest('untrained')).textContent(), /untrained/);
});

test('a link to a model that the page does not have opens the one of every visitor, and says what there is', { timeout: 240_000 }, async (t) => {
  const { page, requests, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, trained: true, path: '#model=nonsense&weights=0123' });
  await embedded(page, 'ginger-cat.jpg');
  const [told, ...more] = await page.locator('[role=alert] p').allTextContents();
  assert.match(told, /^This page has no model “nonsense”, only built-in, untrained-mae, tiny-dino, tiny-mae\. /);
  assert.deepEqual(more, [], 'one cause, one sentence');
  assert.match(await page.locator(byTest('model-select')).textContent(), /tiny DINO/);
  await waitFor(page, 'the address', () => /model=tiny-dino&weights=[0-9a-f]{16}/.test(location.hash));
  // In the open page the one at work stays.
  await page.evaluate(() => { location.hash = '#model=rubbish'; });
  await waitFor(page, 'a word', () => /no model “rubbish”/.test(document.querySelector('[role=alert]').textContent));
  await waitFor(page, 'the address', () => /model=tiny-dino&weights=[0-9a-f]{16}/.test(location.hash));
  assert.deepEqual(requests.filter((url) => /nonsense|rubbish/.test(new URL(url).pathname)), []);
  check();
});

test('where the weights of another model are broken, the one before comes back, or else the built-in one', { timeout: 240_000 }, async (t) => {
  const { page, context } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, allow: [...WITHOUT_WEBGPU.allow, /404/, /tiny-dino.* net::ERR_ABORTED/] });
  await embedded(page, 'ginger-cat.jpg');
  const golden = (name) => readFile(fileURLToPath(new URL(`../golden/models/dinov2-mlp/${name}`, import.meta.url)));
  const weights = await golden('model.safetensors');
  // The last number is none: the header is sound, and the reading breaks off.
  weights.writeUInt32LE(0x7fc00000, weights.length - 4);
  const files = [{ name: 'config.json', mimeType: '', buffer: await golden('config.json') }, { name: 'model.safetensors', mimeType: '', buffer: weights }];
  /** Opens them; what is told. */
  const refused = async () => {
    await page.evaluate(() => { delete window.lab.debug.images; });
    await page.setInputFiles(byTest('model-files'), files);
    await waitFor(page, 'a word', () => /had already made room/.test(document.querySelector('[role=alert]').textContent));
    await embedded(page, 'ginger-cat.jpg');
    const told = await page.locator('[role=alert]').textContent();
    await page.locator('[role=alert] p button').last().click();
    return told;
  };
  const menu = () => page.locator(byTest('built-in')).inputValue();
  await refused();
  assert.equal(await menu(), 'built-in');
  await page.locator(byTest('built-in')).selectOption('tiny-dino');
  await waitFor(page, 'the trained one', () => !document.querySelector('[data-testid="untrained"]'));
  await embedded(page, 'ginger-cat.jpg');
  await refused();
  assert.equal(await menu(), 'tiny-dino');
  await picture(page, 'view-similarity');
  await context.route('**/tiny-dino/*', (route) => route.fulfill({ status: 404 }));
  assert.match(await refused(), /tiny-dino\/ is no model/);
  assert.equal(await menu(), 'built-in');
  assert.equal(await page.locator(byTest('untrained')).count(), 1);
});

test('a software adapter is not taken for a GPU', async (t) => {
  const { page } = await openLab(t);
  await embedded(page, 'ginger-cat.jpg');
  await waitFor(page, 'the reason', () => /software/.test(document.body.textContent));
  assert.match(await page.locator(byTest('engine-status')).textContent(), /CPU engine/);
});

test('a dropped picture is embedded as through the API, and its views answer', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, WITHOUT_WEBGPU);
  await embedded(page, 'ginger-cat.jpg');
  const bytes = await photo('harbour.jpg');
  await dropFiles(page, 'body', [{ name: 'mine.jpg', type: 'image/jpeg', bytes }]);
  await embedded(page, 'mine.jpg');
  const [ours, theirs] = await page.evaluate(async () => {
    const model = await window.lab.Model.load('builtin', { engine: 'cpu' });
    const { cls } = await model.embed('samples/harbour.jpg');
    model.close();
    return [[...window.lab.debug.images['mine.jpg'].cls], [...cls]];
  });
  assert.ok(cosine(ours, theirs) > 0.999999);

  // A click on the first patch changes similarity; a patch that asks changes attention; a layer changes it again.
  const before = await picture(page, 'view-similarity');
  await page.locator(byTest('patch-grid')).click({ position: { x: 4, y: 4 } });
  await waitFor(page, 'the caption', () => /row 1, column 1/.test(document.body.textContent));
  assert.ok(!(await picture(page, 'view-similarity')).equals(before), 'similarity did not follow the click');
  const byClass = await picture(page, 'view-attention');
  await page.locator(byTest('query-patch')).check();
  await waitFor(page, 'the query', () => /Attention from the patch/.test(document.body.textContent));
  const byPatch = await picture(page, 'view-attention');
  assert.ok(!byPatch.equals(byClass), 'attention did not follow the query');
  await page.locator(byTest('layer')).fill('0');
  await waitFor(page, 'the layer', () => /layer 0/.test(document.body.textContent));
  assert.ok(!(await picture(page, 'view-attention')).equals(byPatch), 'attention did not follow the layer');

  // The keyboard moves the patch, and the address holds the state.
  await page.locator(byTest('patch-grid')).press('ArrowRight');
  await waitFor(page, 'the next patch', () => /row 1, column 2/.test(document.body.textContent));
  const hash = await page.evaluate(() => location.hash);
  for (const part of ['patch=1', 'query=patch', 'layer=0']) assert.ok(hash.includes(part), `${part} not in ${hash}`);
  check();
});

test('with the network cut after load, pictures are still embedded, and nothing was sent', async (t) => {
  const { page, context, requests } = await openLab(t, WITHOUT_WEBGPU);
  await embedded(page, 'reef.jpg');
  await context.setOffline(true);
  const sofar = requests.length;
  await page.setInputFiles(byTest('file-input'), { name: 'offline.jpg', mimeType: 'image/jpeg', buffer: await photo('apples.jpg') });
  await embedded(page, 'offline.jpg');
  await picture(page, 'view-pca');
  const later = requests.slice(sofar).filter((url) => !url.startsWith('blob:') && !url.startsWith('data:'));
  assert.deepEqual(later, [], 'requests after the network was cut');
  const foreign = requests.filter((url) => /^https?:/.test(url) && new URL(url).hostname !== '127.0.0.1');
  assert.deepEqual(foreign, [], 'requests to other hosts');
});

test('what is no image and what is no model is said in a sentence', async (t) => {
  const { page } = await openLab(t, WITHOUT_WEBGPU);
  await embedded(page, 'ginger-cat.jpg');
  await dropFiles(page, 'body', [{ name: 'broken.jpg', type: 'image/jpeg', bytes: Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]) }]);
  await waitFor(page, 'a word about broken.jpg', () => /broken\.jpg/.test(document.querySelector('[role=alert]').textContent));
  // One broken thing, one sentence: no view asks for a picture that never came.
  await embedded(page, 'reef.jpg');
  assert.equal(await page.locator('[role=alert] p').count(), 1, await page.locator('[role=alert]').textContent());
  await page.setInputFiles(byTest('model-files'), { name: 'model.safetensors', mimeType: '', buffer: Buffer.from('nonsense, and too short') });
  await waitFor(page, 'a word about the model', () => /model\.safetensors|header|safetensors/.test(document.querySelector('[role=alert]').textContent));
  assert.match(await page.locator(byTest('untrained')).textContent(), /untrained/, 'the old model stays');
});

/** Puts a Web-DINO of seven billion parameters into the model panel: its true header, and behind it 26 GB of one zero piece. */
function chooseSevenBillion(page) {
  const { header, bytes } = giant.whole();
  return page.evaluate(([selector, config, header, bytes]) => {
    // A blob of blobs copies nothing.
    const piece = new Blob([new Uint8Array(1 << 24)]);
    const rest = bytes - header.length;
    const pieces = Array.from({ length: Math.floor(rest / piece.size) }, () => piece);
    const weights = new File([new Uint8Array(header), ...pieces, piece.slice(0, rest % piece.size)], 'model.safetensors');
    const data = new DataTransfer();
    data.items.add(weights);
    data.items.add(new File([JSON.stringify(config)], 'config.json'));
    const input = document.querySelector(selector);
    input.files = data.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
    return weights.size;
  }, [byTest('model-files'), giant.config(), [...header], bytes]);
}

test('memory is shown, and a model that does not fit says what would', async (t) => {
  const { page, check } = await openLab(t, WITHOUT_WEBGPU);
  await embedded(page, 'reef.jpg');
  await waitFor(page, 'the memory', () => /^Memory: [\d.]+ MB of 4\.\d\d GB taken\.$/.test(document.querySelector('[data-testid=memory]').textContent));
  const taken = async () => Number(/[\d.]+/.exec(await page.locator(byTest('memory')).textContent())[0]);
  assert.ok((await taken()) > 5 && (await taken()) < 500, `${await taken()} MB`);
  assert.ok((await chooseSevenBillion(page)) > 25e9);
  await waitFor(page, 'a sentence', () => /needs 26\.5 GB/.test(document.querySelector('[role=alert]').textContent));
  const said = await page.locator('[role=alert]').textContent();
  assert.match(said, /of 4\.2 GB that this engine may take 4\.\d GB are free: take facebook\/webssl-dino300m-full2b-224 \(1\.3 GB\).*GPU engine.*native-trainer/);
  assert.match(await page.locator(byTest('untrained')).textContent(), /untrained/, 'the old model stays');
  await dropFiles(page, 'body', [{ name: 'mine.jpg', type: 'image/jpeg', bytes: await photo('harbour.jpg') }]);
  await embedded(page, 'mine.jpg');
  check();
});

// The aim is 50 ms, and the longest computes for some 20 (docs/benchmarks.md); on a busy machine half as fast for up to 60.
const LONGEST = 80;

test('no task of the page takes long, also while it opens', async (t) => {
  for (const room of ['see', 'train']) {
    const { page, check } = await openWindow(t, { ...WITHOUT_WEBGPU, alone: true });
    const all = await tasks(page, async () => {
      await page.goto(labUrl(`#room=${room}`), { waitUntil: 'load' });
      await waitFor(page, 'six embeddings', () => Object.keys(window.lab?.debug?.images ?? {}).length >= 6);
      await page.waitForTimeout(500);
    });
    const [longest] = all;
    t.diagnostic(`${room}: the longest of ${all.length} tasks computed for ${longest.cpu.toFixed(0)} ms, ${longest.at.toFixed(0)} ms after the page began`);
    assert.ok(longest.cpu < LONGEST, `${room}: a task of ${longest.cpu.toFixed(0)} ms`);
    check();
  }
});
