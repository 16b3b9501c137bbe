// The room Mask: painting changes hidden patches only, a link gives the same pixels, keys are enough.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ONE_SAMPLE, waitFor } from './harness.mjs';
import { address, byTest, cells, openRoom, said, saved, still } from './rooms.mjs';

/** Patches along a side of the built-in autoencoder. */
const SIDE = 8;

/** Which patches are hidden, from the address. */
const hiddenPatches = async (page) => {
  const digits = new URLSearchParams((await page.evaluate(() => location.hash)).slice(1)).get('mask');
  return [...digits].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit) !== 0));
};

/** Drags over patches, from one to another. */
async function drag(page, from, to) {
  await page.locator(byTest('painter')).scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator(byTest('painter')).boundingBox();
  const at = ([row, column]) => [x + ((column + 0.5) * width) / SIDE, y + ((row + 0.5) * height) / SIDE];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 4 });
  await page.mouse.up();
  await still(page);
}

test('painting a mask changes what is hidden and nothing else', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=lemons&ratio=0', ONE_SAMPLE);
  assert.match(await page.locator(byTest('mask-model')).textContent(), /^The model at work, tiny, has no decoder.*here paints tiny MAE \(1000 photographs\)\./);
  assert.match(await page.locator(byTest('hidden-count')).textContent(), /^0 of 64/);
  const views = ['mask-seen', 'mask-painted', 'mask-loss'];
  const whole = Object.fromEntries(await Promise.all(views.map(async (view) => [view, await cells(page, view, SIDE, SIDE)])));
  assert.deepEqual(whole['mask-painted'], whole['mask-seen'], 'with nothing hidden the reconstruction is the picture');

  await drag(page, [2, 2], [2, 5]);
  const hidden = await hiddenPatches(page);
  assert.deepEqual(hidden.flatMap((flag, patch) => (flag ? [patch] : [])), [18, 19, 20, 21]);
  for (const view of views) {
    const now = await cells(page, view, SIDE, SIDE);
    now.forEach((sum, patch) => assert.equal(sum !== whole[view][patch], hidden[patch], `${view}: patch ${patch}`));
  }
  assert.match(await page.textContent('body'), /Mean error over the hidden patches: \d/);

  // Showing again with the other brush, two of the four.
  await page.locator(byTest('brush-1')).check();
  await drag(page, [2, 2], [2, 3]);
  assert.equal((await hiddenPatches(page)).filter(Boolean).length, 2);
  const now = await cells(page, 'mask-painted', SIDE, SIDE);
  assert.deepEqual([now[18], now[19]], whole['mask-painted'].slice(18, 20));
});

test('the trained autoencoder paints better than the untrained one', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=lemons&seed=3', ONE_SAMPLE);
  const error = async () => {
    await still(page);
    return Number(/Mean error over the hidden patches: (\d+(?:\.\d+)?)/.exec(await page.textContent('body'))[1]);
  };
  const trained = await error();
  await page.locator(byTest('mae')).selectOption('untrained-mae');
  await waitFor(page, 'its sentence', () => /learned nothing/.test(document.body.textContent));
  const untrained = await error();
  // What it is worth is tested natively (tests/suite/models.rs); chance alone errs by more than the pixels vary.
  assert.ok(trained < 1 && untrained > 1, `trained ${trained}, untrained ${untrained}`);
});

test('a link of the room Mask opened twice gives the same pixels', async (t) => {
  for (const hash of ['#room=mask&sample=reef&kind=block&ratio=60&seed=9', '#room=mask&sample=reef&mask=00ff00ff3c3c0001']) {
    const seen = [];
    for (let time = 0; time < 2; time += 1) {
      const { page } = await openRoom(t, hash, ONE_SAMPLE);
      assert.equal(await page.evaluate(() => location.hash), hash);
      seen.push(await Promise.all(['mask-seen', 'mask-painted', 'mask-loss'].map((view) => cells(page, view))));
    }
    assert.deepEqual(seen[0], seen[1], hash);
  }
});

test('masks are drawn anew by seed and kind, and the keyboard paints', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=apples', ONE_SAMPLE);
  const count = page.locator(byTest('hidden-count'));
  assert.match(await count.textContent(), /^48 of 64/);
  const [before] = await cells(page, 'mask-seen');
  await page.locator(byTest('resample')).click();
  await still(page);
  const [another] = await cells(page, 'mask-seen');
  assert.notEqual(another, before);
  await page.locator(byTest('kind-2')).check();
  await still(page);
  assert.notEqual((await cells(page, 'mask-seen'))[0], another);
  assert.match(await page.evaluate(() => location.hash), /kind=grid.*seed=1/);

  await page.locator(byTest('show-all')).click();
  const painter = page.locator(byTest('painter'));
  await painter.focus();
  for (const key of ['Home', 'ArrowRight', 'Space']) await painter.press(key);
  await waitFor(page, 'one hidden patch', () => /^1 of 64/.test(document.querySelector('[data-testid="hidden-count"]').textContent));
  assert.equal((await hiddenPatches(page)).indexOf(true), 1);
  await painter.press('Shift+ArrowDown');
  await waitFor(page, 'two hidden patches', () => /^2 of 64/.test(document.querySelector('[data-testid="hidden-count"]').textContent));
  assert.match(await painter.getAttribute('aria-label'), /2 of 64 patches are hidden.*row 2, column 2, hidden/);

});

test('a finger paints where it goes and nowhere else, and does not move the page', async (t) => {
  const { page, context } = await openRoom(t, '#room=mask&sample=lemons&ratio=0', { ...ONE_SAMPLE, viewport: { width: 390, height: 800 } });
  const touch = await context.newCDPSession(page);
  await touch.send('Emulation.setTouchEmulationEnabled', { enabled: true });
  await page.evaluate(() => {
    window.kinds = new Set();
    addEventListener('pointermove', (event) => window.kinds.add(event.pointerType), true);
  });
  await page.locator(byTest('painter')).scrollIntoViewIfNeeded();
  await still(page);
  const scrolled = () => page.evaluate(() => [scrollX, scrollY]);
  const before = await scrolled();
  const whole = await cells(page, 'mask-painted', SIDE, SIDE);
  const { x, y, width, height } = await page.locator(byTest('painter')).boundingBox();
  const finger = async (type, row, column) => {
    const touchPoints = type === 'touchEnd' ? [] : [{ x: x + ((column + 0.5) * width) / SIDE, y: y + ((row + 0.5) * height) / SIDE }];
    await touch.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  // Downwards, as one would scroll.
  await finger('touchStart', 1, 3);
  for (const row of [2, 3, 4]) await finger('touchMove', row, 3);
  await finger('touchEnd');
  await still(page);
  assert.deepEqual(await page.evaluate(() => [...window.kinds]), ['touch']);
  const hidden = await hiddenPatches(page);
  assert.deepEqual(hidden.flatMap((flag, patch) => (flag ? [patch] : [])), [11, 19, 27, 35]);
  const now = await cells(page, 'mask-painted', SIDE, SIDE);
  now.forEach((sum, patch) => assert.equal(sum !== whole[patch], hidden[patch], `patch ${patch}`));
  assert.deepEqual(await scrolled(), before, 'the page moved under the finger');
});

test('the errors leave as CSV and JSON, and are those on the screen', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=reef&seed=5', ONE_SAMPLE);
  const figure = page.locator(`figure:has(${byTest('mask-loss')})`);
  const { csv, json } = await saved(page, figure);
  assert.equal(csv[0], 'row,column,squared error,hidden');
  const rows = csv.slice(1).map((line) => line.split(',').map(Number));
  assert.deepEqual([rows.length, rows[9].slice(0, 2)], [SIDE * SIDE, [2, 2]]);
  const hidden = rows.filter(([, , , flag]) => flag === 1);
  assert.equal(hidden.length, 48);
  const mean = hidden.reduce((sum, [, , error]) => sum + error, 0) / hidden.length;
  const said = Number(/Mean error over the hidden patches: ([\d.]+)/.exec(await page.textContent('body'))[1]);
  assert.ok(Math.abs(mean - said) < 0.006, `${mean} is not ${said}`);
  const worst = hidden.reduce((worst, row) => (row[2] > worst[2] ? row : worst));
  assert.match(await figure.textContent(), new RegExp(`in row ${worst[0]}, column ${worst[1]};`));
  assert.deepEqual(json.channels.map(({ name }) => name), ['squared error', 'hidden']);
  json.channels[0].values.forEach((value, patch) => assert.ok(Math.abs(value - rows[patch][2]) < 1e-6));
  assert.match(json.model.name, /tiny MAE/, 'it names another model than the one that paints');
  assert.deepEqual([json.view.norm_pix, json.link], [false, await address(page)]);
  assert.ok(Math.abs(json.view.loss - mean) < 1e-5);
});

test('an autoencoder of the visitor takes over', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=apples', ONE_SAMPLE);
  const { readFile } = await import('node:fs/promises');
  const { fileURLToPath } = await import('node:url');
  const folder = new URL('../golden/models/mae-rawpix/', import.meta.url);
  const file = async (name) => ({ name, mimeType: '', buffer: await readFile(fileURLToPath(new URL(name, folder))) });
  await page.setInputFiles(byTest('model-files'), [await file('config.json'), await file('model.safetensors')]);
  await waitFor(page, 'its sentence', () => /predicts pixels as they are/.test(document.body.textContent));
  await still(page);
  assert.match(await page.locator(byTest('mask-model')).textContent(), /paints\./);
  assert.match(await page.locator(byTest('hidden-count')).textContent(), /of 36/);
});

test('a mask that does not fit is dropped with a word, and the whole picture is not called hidden', async (t) => {
  const { page } = await openRoom(t, '#room=mask&sample=reef&mask=ffff', ONE_SAMPLE);
  await said(page, /mask in this link does not fit: it takes 64 patches/);
  await still(page);
  assert.equal(await address(page), '#room=mask&sample=reef');
  assert.match(await page.locator(byTest('hidden-count')).textContent(), /^48 of 64/);
  const original = await page.locator(`figure:has(${byTest('mask-original')})`).textContent();
  assert.match(original, /reef\.jpg whole, nothing hidden/);
  assert.match(await page.textContent('body'), /Mean error over the hidden patches: [\d.]+ \(0 is perfect, about 1 is what plain grey costs\)/);
});
