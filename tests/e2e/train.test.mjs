// The room Train as people use it: it learns, it goes on after a reload and after a lost device, it collapses and comes
// back, its files leave and return. Models are tiny, so that a step takes some tens of milliseconds.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, openLab, waitFor } from './harness.mjs';
import { byTest, reached, trainLink } from './rooms.mjs';

const address = (method, ...more) => trainLink('cpu', method, ...more);

const where = (page) => page.evaluate(() => window.lab?.debug?.train ?? {});

/** Lets the run go until it has made so many steps, then stops it and waits until it is safe. */
async function trainTo(page, step) {
  await page.locator(byTest('play')).click();
  await reached(page, step);
  await page.locator(byTest('play')).click();
  await waitFor(page, 'the save', () => {
    const { step, saved } = window.lab.debug.train;
    return saved === step;
  });
  // The step that was on its way may have come behind the save.
  await page.waitForTimeout(300);
  await waitFor(page, 'the last save', () => window.lab.debug.train.saved === window.lab.debug.train.step);
  return where(page);
}

test('twenty steps lower the loss, and after a reload the same run goes on', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: address('mae') });
  // A result before any click: one step in slow motion, and pictures.
  await reached(page, 1);
  await waitFor(page, 'pictures', () => document.querySelectorAll('[data-testid=looks] img').length === 18);
  assert.equal(await page.locator(byTest('stage-4')).count(), 1, 'MAE has five stages');
  const first = (await where(page)).loss;
  const stopped = await trainTo(page, 24);
  const losses = await page.evaluate(() => [...window.lab.debug.train.losses]);
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  assert.ok(mean(losses.slice(-5)) < 0.9 * first, `from ${first} to ${losses.slice(-5)}`);
  assert.match(await page.locator(byTest('saved')).textContent(), /Saved in this browser/);
  check();

  await page.reload({ waitUntil: 'load' });
  await reached(page, stopped.step);
  const found = await where(page);
  assert.deepEqual([found.step, found.loss, found.method], [stopped.step, stopped.loss, 'mae']);
  assert.deepEqual(await page.evaluate(() => [...window.lab.debug.train.losses]), losses, 'the curve came along');
  // It goes on as it would have.
  await page.locator(byTest('step')).click();
  await reached(page, stopped.step + 1);
  check();
});

test('without centring and sharpening it collapses, and going back heals it', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: address('dino', 'optim.base_lr=2e-3') });
  await reached(page, 1);
  const before = await trainTo(page, 60);
  assert.notEqual(before.verdict, 'Collapsing');
  for (const name of ['centring', 'sharpening']) {
    await page.locator(byTest(`switch-${name}`)).click();
    await waitFor(page, `${name} to be off`, (name) =>
      document.querySelector(`[data-testid=switch-${name}]`).getAttribute('aria-checked') === 'false', { argument: name });
  }
  await page.locator(byTest('play')).click();
  await waitFor(page, 'the collapse', () => window.lab.debug.train.verdict === 'Collapsing');
  await waitFor(page, 'the alarm', () => document.querySelector('[data-testid=alarm]'));
  assert.match(await page.locator(byTest('verdict')).textContent(), /Collapsed/);
  assert.match(await page.locator(byTest('says')).textContent(), /every image|one prototype/);
  await page.locator(byTest('play')).click();
  await page.waitForTimeout(500);
  await page.locator(byTest('back')).click();
  await waitFor(page, 'the kept moment', (step) => window.lab.debug.train.step === step, { argument: before.step });
  await waitFor(page, 'health', () => window.lab.debug.train.verdict !== 'Collapsing');
  assert.equal(await page.locator(byTest('switch-centring')).getAttribute('aria-checked'), 'true');
  check();
});

test('a lost device is replaced, and the run goes on', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: address('mae', 'train.seed=3') });
  await reached(page, 1);
  const stopped = await trainTo(page, 6);
  await page.locator(byTest('play')).click();
  await reached(page, stopped.step + 2);
  await page.evaluate(() => window.lab.debug.loseDevice());
  await waitFor(page, 'the loss to be noticed', () => window.lab.debug.losses === 1);
  await waitFor(page, 'a word about it', () => /new engine starts by itself/.test(document.querySelector('[role=alert]').textContent));
  await waitFor(page, 'where it goes on', () => /run goes on/.test(document.querySelector('[role=alert]').textContent));
  // It plays on by itself.
  await reached(page, stopped.step + 6);
  assert.match(await page.locator(byTest('engine-status')).textContent(), /CPU engine/);
  await waitFor(page, 'the images of the room See', () => window.lab.debug.images?.['ginger-cat.jpg']);
  check();
});

test('both engines make the same steps', { timeout: 600_000 }, async (t) => {
  const tiny = ['model.depth=1', 'train.batch_size=4', 'crops.global_size=16', 'crops.local_size=8'];
  for (const method of ['mae', 'dino']) {
    const losses = {};
    for (const [engine, options] of [['cpu', WITHOUT_WEBGPU], ['gpu', {}]]) {
      const { page, check } = await openLab(t, { ...options, path: trainLink(engine, method, ...tiny) });
      await reached(page, 1);
      for (const step of [2, 3, 4]) {
        await page.locator(byTest('step')).click();
        await reached(page, step);
      }
      assert.match(await page.locator(byTest('engine-status')).textContent(), engine === 'gpu' ? /GPU engine/ : /CPU engine/);
      losses[engine] = await page.evaluate(() => [...window.lab.debug.train.losses]);
      check();
    }
    assert.equal(losses.gpu.length, losses.cpu.length);
    // Four steps of f32, summed in different orders: differences grow with each step's rounding.
    losses.gpu.forEach((loss, step) => assert.ok(Math.abs(loss - losses.cpu[step]) < 1e-3 * losses.cpu[step], `${method}: ${JSON.stringify(losses)}`));
  }
});

test('a run leaves as a file and comes back; its model opens in See', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: address('dino') });
  await reached(page, 1);
  const stopped = await trainTo(page, 4);
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('download-run')).click()]);
  assert.match(download.suggestedFilename(), /^dinov2-step-\d+\.safetensors$/);
  const bytes = await readFile(await download.path());
  assert.ok(bytes.subarray(8, 4096).includes('lab.config'), 'the header holds the configuration');
  await page.locator(byTest('forget')).click();
  await waitFor(page, 'a new run', () => window.lab.debug.train.step === 1);
  await page.setInputFiles(byTest('open-run'), { name: 'mine.safetensors', mimeType: '', buffer: bytes });
  await waitFor(page, 'the old run', (step) => window.lab.debug.train.step === step, { argument: stopped.step });
  assert.equal((await where(page)).loss, stopped.loss);
  await page.locator(byTest('open-in-see')).click();
  await waitFor(page, 'the model', () => /32 wide/.test(document.querySelector('[data-testid=model-select]').textContent));
  check();
  await page.setInputFiles(byTest('open-run'), { name: 'broken.safetensors', mimeType: '', buffer: bytes.subarray(0, bytes.length - 9) });
  await waitFor(page, 'a sentence', () => /broken\.safetensors/.test(document.querySelector('[role=alert]').textContent));
  assert.equal((await where(page)).step, stopped.step, 'the run stays');
});

test('views get their turn while it trains, and the page stays quick', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: address('mae') });
  await reached(page, 1);
  await waitFor(page, 'the images', () => window.lab.debug.images?.['reef.jpg']);
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({ type: 'longtask' });
  });
  await page.locator(byTest('play')).click();
  await reached(page, 25);
  const longest = await page.evaluate(() => window.longest);
  t.diagnostic(`longest task of the page while it trains: ${longest} ms`);
  assert.ok(longest < 50, `a task of ${longest} ms`);
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'a drawn view', () =>
    document.querySelector('[data-testid=view-pca]')?.closest('figure')?.querySelector('figcaption')?.textContent.includes('ms.'));
  const { step } = await where(page);
  await reached(page, step + 3);
  check();
});

test('wrong settings are told with their neighbour', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=train&method=mae&engine=cpu&set=optim.base_rl%3D1' });
  await waitFor(page, 'a sentence', () => /did you mean optim\.base_lr/.test(document.querySelector('[role=alert]').textContent));
});
