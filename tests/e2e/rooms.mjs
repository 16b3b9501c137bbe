// What the tests of the rooms share: waiting until pictures stand, and reading what is on them.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { labUrl, openLab, waitFor, WITHOUT_WEBGPU } from './harness.mjs';

export const byTest = (name) => `[data-testid="${name}"]`;

/** Opens a room by its link and waits until every picture in it is drawn. */
export async function openRoom(t, hash, options = {}) {
  const browser = await openLab(t, { ...WITHOUT_WEBGPU, ...options, path: hash });
  await settled(browser.page, options.samples);
  return browser;
}

/** Waits until the samples that come are embedded and nothing is left to draw. */
export async function settled(page, samples = 6) {
  await waitFor(page, 'the samples', (samples) => Object.keys(window.lab?.debug?.images ?? {}).length >= samples, { argument: samples });
  await still(page);
}

/** Waits until every picture on the page is drawn and stays so for a moment. */
export async function still(page) {
  await waitFor(page, 'the pictures', () => {
    const frames = [...document.querySelectorAll('.frame')];
    const ready = frames.every((frame) => frame.getAttribute('aria-busy') === 'false' && frame.querySelector('canvas'));
    if (!ready) window.__still = undefined;
    window.__still ??= performance.now();
    return ready && performance.now() - window.__still > 500;
  });
  await page.evaluate(() => { window.__still = undefined; });
}

/** Waits until the room Train has made so many steps. */
export const reached = (page, step) =>
  waitFor(page, `step ${step}`, (step) => (window.lab?.debug?.train?.step ?? -1) >= step, { argument: step });

/** Where the run stands, as the page says. */
export const where = (page) => page.evaluate(() => window.lab?.debug?.train ?? {});

/** Lets the run go until it has made so many steps, then stops it and waits until it is safe. */
export async function trainTo(page, step) {
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

/** Presses a button that saves a file, and reads it: its name, its bytes and its text. */
export async function save(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const bytes = await readFile(await download.path());
  return { name: download.suggestedFilename(), bytes, text: bytes.toString() };
}

/** The cells of a CSV without quotes, a row a line. */
export const csv = (text) => text.trim().split('\n').map((line) => line.split(','));

/** A model so small that a step takes some tens of milliseconds. */
const SMALL = ['model.embed_dim=32', 'model.depth=2', 'model.num_heads=2', 'train.batch_size=8', 'optim.warmup_epochs=0.1'];

/** The link to the room Train with that model; later settings win. */
export const trainLink = (engine, method, ...more) =>
  `#room=train&method=${method}&engine=${engine}&set=${encodeURIComponent([...SMALL, ...more].join(';'))}`;

/** Waits until the room Video plays. */
export const frames = (page) =>
  waitFor(page, 'frames', () => /frames a second|ms for this frame/.test(document.querySelector('[data-testid="video-speed"]')?.textContent), { timeout: 60_000 });

/** What the address says. */
export const address = (page) => page.evaluate(() => location.hash);

/** Waits until a notice says something. */
export const said = (page, words) =>
  waitFor(page, `a word like ${words}`, (words) => new RegExp(words).test(document.querySelector('[role=alert]').textContent), { argument: words.source, timeout: 30_000 });

/** Waits for a notice that something was done. */
export const told = (page, words) =>
  waitFor(page, `a word like ${words}`, (words) => new RegExp(words).test(document.querySelector('[data-testid="done"]').textContent), { argument: words.source, timeout: 30_000 });

/** A checksum of the pixels of each cell of a picture, cut into `rows` by `columns`. */
export async function cells(page, test, rows = 1, columns = 1) {
  const found = await page.evaluate(([selector, rows, columns]) => {
    const shown = document.querySelector(`${selector} canvas`);
    const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(shown, 0, 0);
    const sums = [];
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const [left, right] = [column, column + 1].map((at) => Math.round((at * shown.width) / columns));
        const [top, bottom] = [row, row + 1].map((at) => Math.round((at * shown.height) / rows));
        // One pixel in from the edge: a cell's border may fall between two pixels.
        const { data } = copy.getImageData(left + 1, top + 1, right - left - 2, bottom - top - 2);
        let hash = 0x811c9dc5;
        for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
        sums.push(hash);
      }
    }
    return sums;
  }, [byTest(test), rows, columns]);
  assert.equal(found.length, rows * columns);
  return found;
}

/** Presses a button that saves a file; its name and its bytes. */
export async function pressed(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
}

/** What a figure saves of its numbers: the lines of the CSV and the object of the JSON. */
export async function saved(page, figure) {
  const closed = await figure.locator('details.export').evaluate((details) => !details.open);
  if (closed) await figure.locator('details.export summary').click();
  const csv = (await pressed(page, figure.locator(byTest('save-csv')))).bytes.toString().trim().split('\n');
  return { csv, json: JSON.parse((await pressed(page, figure.locator(byTest('save-json')))).bytes) };
}

/** Reports what axe finds on the page as it stands. */
export async function complaints(page) {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}; ${nodes.slice(0, 3).map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`).join(' | ')}`);
}

/** Goes to another room of the same page. */
export async function go(page, hash) {
  await page.evaluate((hash) => { location.hash = hash; }, hash);
  await still(page);
}

export { labUrl };
