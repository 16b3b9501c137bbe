// The ways in, as hands use them: Ctrl+V, a folder dropped from the file manager, a model's folder picked.

import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { ONE_SAMPLE_ON_CPU, WITHOUT_WEBGPU, labUrl, openLab, openWindow, waitFor } from './harness.mjs';
import { byTest, settled } from './rooms.mjs';

const SAMPLES = fileURLToPath(new URL('../../public/samples/', import.meta.url));
const MODEL = fileURLToPath(new URL('../golden/models/dinov2-mlp/', import.meta.url));

/** A folder for the length of a test. */
async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), 'lab-inputs-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Drops paths of this machine on the page as a file manager does: the browser makes the entries itself. */
async function dropPaths(page, paths) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 640, y: 450, data });
  }
  await session.detach();
}

const names = (page) => page.evaluate(() =>
  [...document.querySelectorAll('[data-testid="nearest"] .name')].map((name) => name.textContent));
const told = (page) => page.locator(byTest('alert')).textContent();
const wide = (page) => waitFor(page, 'the model', () =>
  /64 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));

test('a picture comes by Ctrl+V', async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page, 1);
  const before = await names(page);
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(40, 30);
    canvas.getContext('2d').fillRect(10, 10, 20, 10);
    const blob = await canvas.convertToBlob({ type: 'image/png' });
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
  });
  await page.locator('body').press('Control+v');
  await waitFor(page, 'one more picture', (count) =>
    document.querySelectorAll('[data-testid="nearest"] .name').length > count, { argument: before.length });
  const [pasted] = (await names(page)).filter((name) => !before.includes(name));
  await waitFor(page, 'its embedding', (name) => window.lab.debug.images[name]?.cls?.length > 0, { argument: pasted });
  assert.equal(await page.locator(`${byTest('nearest')} .chosen .name`).textContent(), pasted, 'it is on show');
  check();
});

test('a dropped folder gives its pictures, those of folders below too, and says what it left out', async (t) => {
  const { page, check } = await openLab(t, ONE_SAMPLE_ON_CPU);
  await settled(page, 1);
  const path = join(await folder(t), 'holiday');
  await mkdir(join(path, 'day 2'), { recursive: true });
  await copyFile(join(SAMPLES, 'reef.jpg'), join(path, 'a.jpg'));
  await copyFile(join(SAMPLES, 'lemons.jpg'), join(path, 'day 2', 'b.jpg'));
  await writeFile(join(path, 'notes.txt'), 'no picture');
  await dropPaths(page, [path]);
  for (const name of ['a.jpg', 'b.jpg']) {
    await waitFor(page, name, (name) => window.lab.debug.images[name]?.cls?.length > 0, { argument: name });
  }
  assert.equal(await page.locator(`${byTest('nearest')} .chosen .name`).textContent(), 'a.jpg', 'the first is on show');
  assert.match(await told(page), /Images taken: 2\. Left out as no images: 1\./);
  check();
});

test("a model's folder is dropped, or picked", async (t) => {
  const { page, check } = await openLab(t, ONE_SAMPLE_ON_CPU);
  await settled(page, 1);
  await dropPaths(page, [MODEL]);
  await wide(page);
  await page.locator(byTest('built-in')).selectOption('built-in');
  await waitFor(page, 'the model of before', () =>
    /192 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));
  await page.setInputFiles(byTest('model-folder'), MODEL);
  await wide(page);
  assert.equal((await told(page)).trim(), '');
  check();
});

test('a sample that never comes is given up, said, and nothing waits for it any more', async (t) => {
  const { page, context } = await openWindow(t, { ...WITHOUT_WEBGPU, allow: [...WITHOUT_WEBGPU.allow, /samples\/apples\.jpg/] });
  // The page's patience of half a minute, shortened.
  await context.addInitScript(() => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = () => timeout(8000);
  });
  await context.route('**/samples/apples.jpg', () => {});
  await page.goto(labUrl());
  await waitFor(page, 'a word of it', () =>
    /The sample apples could not be fetched/.test(document.querySelector('[data-testid="alert"]')?.textContent));
  await settled(page, 5);
});
