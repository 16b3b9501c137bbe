// What a run in the page outlives: sleep of its tab, a discarded tab, a new run that is refused, another machine; and the
// visitor's own pictures as what it learns from.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { ONE_SAMPLE_ON_CPU, WITHOUT_WEBGPU, dropFiles, labUrl, openLab, visit, waitFor } from './harness.mjs';
import { byTest, complaints, reached, trainLink, trainTo, where } from './rooms.mjs';

const losses = (page) => page.evaluate(() => [...window.lab.debug.train.losses]);

/** The browser's own processes that hold pages: this process' grandchildren. */
async function renderers() {
  const all = [];
  for (const name of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = Number(/\) \S+ (\d+)/.exec(await readFile(`/proc/${name}/stat`, 'latin1'))[1]);
      all.push({ pid: Number(name), parent, words: await readFile(`/proc/${name}/cmdline`, 'latin1') });
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(error.code)) throw error; // it has ended meanwhile
    }
  }
  const ours = (pid) => pid === process.pid || all.some((one) => one.pid === pid && ours(one.parent));
  return all.filter(({ pid, words }) => words.includes('--type=renderer') && ours(pid)).map(({ pid }) => pid);
}

/** Hides the page and lets nothing of it run, worker included, as a browser does to a tab in the background. */
async function freeze(page) {
  await page.evaluate(() => {
    window.hidden = window.lab.debug.train.step;
    for (const [name, value] of [['hidden', true], ['visibilityState', 'hidden']]) Object.defineProperty(document, name, { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await waitFor(page, 'the save', () => window.lab.debug.train.saved >= window.hidden, { timeout: 10_000 });
  const stopped = await renderers();
  assert.ok(stopped.length > 0, 'no process to stop');
  stopped.forEach((pid) => process.kill(pid, 'SIGSTOP'));
  return stopped;
}

/** Asserts that a run is the beginning of another one, to the last bit. */
function begins(part, whole, what) {
  assert.ok(part.length > 0 && part.length <= whole.length, `${what}: ${part.length} steps of ${whole.length}`);
  assert.deepEqual(part, whole.slice(0, part.length), what);
}

test('a run sleeps with its tab, wakes, and outlives a tab that the browser discards', { timeout: 300_000 }, async (t) => {
  const link = trainLink('cpu', 'dino', 'train.seed=11');
  // The same run, undisturbed.
  const whole = await visit({ ...ONE_SAMPLE_ON_CPU, path: link }, async ({ page }) => {
    await reached(page, 1);
    await page.locator(byTest('play')).click();
    await reached(page, 160);
    return losses(page);
  });

  const { page, context, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: link, alone: true, allow: [...WITHOUT_WEBGPU.allow, /the page crashed/] });
  await reached(page, 1);
  await page.locator(byTest('play')).click();
  await reached(page, 12);
  // Saved because it was hidden, whenever the last save was.
  const frozen = await freeze(page);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  frozen.forEach((pid) => process.kill(pid, 'SIGCONT'));
  await page.evaluate(() => {
    delete document.hidden;
    delete document.visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
  });
  // It plays on by itself.
  await reached(page, 40);
  begins(await losses(page), whole, 'after sleep');
  check();

  // Frozen once more; then the browser takes the tab's process away, without a word to the page.
  const hidden = (await where(page)).step;
  const crashed = page.waitForEvent('crash');
  (await freeze(page)).forEach((pid) => process.kill(pid, 'SIGKILL'));
  await crashed;
  const other = await context.newPage();
  await other.goto(labUrl(link), { waitUntil: 'load' });
  await reached(other, hidden);
  const found = await losses(other);
  begins(found, whole, 'after the tab was discarded');
  await other.locator(byTest('play')).click();
  await reached(other, found.length + 10);
  begins(await losses(other), whole, 'gone on with');
  check();
});

/** What a picture of the page looks like: the mean colour of each of 8 by 8 fields, seen square from its middle. */
const fields = (page, source) => page.evaluate(async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const side = Math.min(image.naturalWidth, image.naturalHeight);
  const context = new OffscreenCanvas(8, 8).getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side, side, 0, 0, 8, 8);
  return [...context.getImageData(0, 0, 8, 8).data];
}, source);

const apart = (one, other) => one.reduce((sum, value, at) => sum + Math.abs(value - other[at]), 0) / one.length;

test('it learns from the visitor\'s own pictures, and shows those', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: trainLink('cpu', 'mae', 'optim.base_lr=2e-3') });
  await reached(page, 1);
  await waitFor(page, 'the samples', () => document.querySelectorAll('.images .remove').length === 6);
  for (let left = 6; left > 0; left -= 1) {
    await page.locator('.images .remove').first().click();
    await waitFor(page, 'one less', (left) => document.querySelectorAll('.images .remove').length === left, { argument: left - 1 });
  }
  const files = await Promise.all(['../golden/photo/cat.jpg', '../../public/samples/lemons.jpg', '../../public/samples/harbour.jpg', '../../public/samples/reef.jpg'].map(async (path) => {
    const file = fileURLToPath(new URL(path, import.meta.url));
    return { name: path.split('/').pop().replace('.', '-mine.'), type: 'image/jpeg', bytes: await readFile(file) };
  }));
  await dropFiles(page, 'body', files);
  await waitFor(page, 'four pictures', () => document.querySelectorAll('.images .remove').length === 4);
  await page.locator(byTest('data-own')).check();
  await waitFor(page, 'a run on them', () => /each of the 4 more than once/.test(document.querySelector('.run').textContent));
  await reached(page, 1);
  for (let step = 2; step <= 6; step += 1) {
    await page.locator(byTest('step')).click();
    await reached(page, step);
  }
  const found = await losses(page);
  assert.equal(found.length, 6);
  assert.ok(found.every((loss) => Number.isFinite(loss) && loss > 0), `${found}`);
  assert.ok(new Set(found).size === 6 && found.at(-1) < found[0], `it does not learn: ${found}`);
  // Each picture on show is the one that was dropped in its place, and none of the others.
  await waitFor(page, 'the pictures', () => document.querySelectorAll('[data-testid=looks] li').length === 4);
  const shown = await page.locator(`${byTest('looks')} li`).evaluateAll((all) => all.map((one) => one.querySelector('img').src));
  const originals = [];
  for (const { bytes } of files) originals.push(await fields(page, `data:image/jpeg;base64,${bytes.toString('base64')}`));
  for (const [at, source] of shown.entries()) {
    const seen = await fields(page, source);
    const distances = originals.map((original) => apart(seen, original));
    assert.equal(distances.indexOf(Math.min(...distances)), at, `picture ${at} is ${distances.map(Math.round)} away from those that were dropped`);
    assert.ok(distances[at] < 16, `picture ${at} is ${distances[at]} away from its original`);
  }
  assert.match(page.url(), /data=own/);
  check();
  // They are kept beside the run: after a reload the page has forgotten its pictures, the run has not.
  await waitFor(page, 'the save', () => window.lab.debug.train.saved === window.lab.debug.train.step);
  await page.reload({ waitUntil: 'load' });
  await reached(page, 6);
  assert.deepEqual(await losses(page), found);
  await page.locator(byTest('step')).click();
  await reached(page, 7);
  assert.match(await page.locator('.run').textContent(), /each of the 4 more than once/);
  check();
});

test('a run that is refused leaves the one before, in the engine and in the browser', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: trainLink('cpu', 'dino') });
  await reached(page, 1);
  const { step } = await trainTo(page, 12);
  const before = await losses(page);
  await page.locator(`${byTest('settings-details')} summary`).click();
  await page.locator(byTest('settings')).fill('model.embed_dim=8192');
  await page.locator(byTest('reset')).click();
  await waitFor(page, 'the reason', () => /No run could begin: .*MiB/.test(document.querySelector('[data-testid=other]')?.textContent));
  assert.equal((await where(page)).step, step);
  await page.locator(byTest('go-on')).click();
  await page.locator(byTest('step')).click();
  await reached(page, step + 1);
  begins(before, await losses(page), 'the run before');
  check();
});

test('one tab keeps the run and a second one says so; a run that gave way can be brought back', { timeout: 120_000 }, async (t) => {
  const { page, context, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: trainLink('cpu', 'mae') });
  await reached(page, 1);
  const { step } = await trainTo(page, 12);
  const kept = await losses(page);

  // A second tab does not take the run, and does not write over it.
  const other = await context.newPage();
  await other.goto(labUrl(trainLink('cpu', 'mae')), { waitUntil: 'load' });
  await waitFor(other, 'a word about the other tab', () => document.querySelector('[data-testid=elsewhere]'));
  await reached(other, 1);
  await other.locator(byTest('step')).click();
  await waitFor(other, 'where it is kept', () => /^Kept in memory at step 2, and lost with this page, since another tab/.test(document.querySelector('[data-testid=saved]').textContent));
  assert.deepEqual(await complaints(other), [], 'axe, beside another tab');

  // Begun anew by mistake: the run comes back, to the last step.
  const anew = async (page) => {
    await page.locator(byTest('reset')).click();
    await waitFor(page, 'the way back', () => document.querySelector('[data-testid=aside]') && window.lab.debug.train.step === 1);
    assert.match(await page.locator(byTest('aside')).textContent(), new RegExp(`The MAE run of ${step} steps gave way`));
  };
  await anew(page);
  await page.locator(byTest('bring-back')).click();
  await waitFor(page, 'the run', (step) => window.lab.debug.train.step === step && window.lab.debug.train.saved === step, { argument: step });
  assert.deepEqual(await losses(page), kept);

  // Once the first tab is closed its run opens in the second.
  await page.close();
  await other.locator(byTest('take-over')).click();
  await waitFor(other, 'the kept run', (step) => window.lab.debug.train.step === step, { argument: step });
  assert.deepEqual(await losses(other), kept);
  assert.equal(await other.locator(byTest('elsewhere')).count(), 0);

  // A reload right after “Begin anew” finds the new run, not the old one.
  await anew(other);
  await other.reload({ waitUntil: 'load' });
  await reached(other, 1);
  assert.equal((await losses(other)).length, 1);
  check();
});

test('a link of a kept run begins the same run on another machine', { timeout: 120_000 }, async (t) => {
  // This machine keeps a run of settings of its own, and is opened by the plain link.
  const here = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: trainLink('cpu', 'mae', 'train.seed=23', 'optim.base_lr=3e-3') });
  await reached(here.page, 1);
  const { step } = await trainTo(here.page, 6);
  await here.page.goto('about:blank');
  await here.page.goto(labUrl('#room=train&engine=cpu'), { waitUntil: 'load' });
  await reached(here.page, step);
  await waitFor(here.page, 'its settings in the address', () => /train\.seed%3D23/.test(location.hash));
  const whole = await losses(here.page);
  const copied = await here.page.evaluate(() => location.hash);
  here.check();

  const there = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: copied });
  await reached(there.page, 1);
  await waitFor(there.page, 'the address', (hash) => location.hash === hash, { argument: copied });
  await trainTo(there.page, 4);
  const found = await losses(there.page);
  const common = Math.min(found.length, whole.length);
  assert.deepEqual(found.slice(0, common), whole.slice(0, common));
  there.check();
});
