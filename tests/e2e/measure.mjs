// How long the built page takes for what people wait for; prints the rows of docs/benchmarks.md ("In the browser").
//
//   cargo xtask web && cargo xtask serve --port 8080 &
//   LAB_URL=http://127.0.0.1:8080/ node measure.mjs [--engine cpu|gpu] [MODEL]
//
// MODEL is a folder with config.json and model.safetensors, embedded besides by the JavaScript API. Without --engine the
// GPU engine is asked for pictures only, since a software adapter is slow at the rest; LAB_GPU=card takes the machine's
// card. Every number is the median of several, with the smallest and the largest; each visit has a fresh profile.

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ENGINES, visit, waitFor } from './harness.mjs';
import { byTest, reached, settled, still } from './rooms.mjs';

const SAMPLES = fileURLToPath(new URL('../../public/samples', import.meta.url));

function row(what, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const show = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toString());
  const [least, median, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map(show);
  console.log(`| ${what} | ${median} ms | ${least} to ${most} ms | ${times.length} |`);
}

/** From the navigation's start to the first embedding of a sample, and to the last of the six. */
async function opening(name, options) {
  const [first, all] = [[], []];
  for (let time = 0; time < 5; time += 1) {
    await visit({ ...options, path: `#room=see&engine=${name}` }, async ({ page }) => {
      for (const [count, list] of [[1, first], [6, all]]) {
        await waitFor(page, 'embeddings', (count) => Object.keys(window.lab?.debug?.images ?? {}).length >= count, { argument: count });
        list.push(await page.evaluate(() => performance.now()));
      }
    });
  }
  row(`${name}: page open to the first embedding`, first);
  row(`${name}: page open to six embeddings`, all);
}

/** From a click on a patch, which asks in attention and in similarity, until each is drawn, as the page says under them. */
async function clicks(name, options) {
  await visit({ ...options, path: `#room=see&engine=${name}&query=patch` }, async ({ page }) => {
    await settled(page);
    const times = { attention: [], similarity: [] };
    const box = await page.locator(byTest('patch-grid')).boundingBox();
    for (let time = 1; time <= 15; time += 1) {
      await page.locator(byTest('patch-grid')).click({ position: { x: (box.width * time) / 16, y: (box.height * time) / 16 } });
      await still(page);
      for (const [view, list] of Object.entries(times)) {
        const figure = page.locator(`figure:has(${byTest(`view-${view}`)}), section:has(${byTest(`view-${view}`)})`).first();
        const millis = /([\d.,]+)\s*ms/.exec(await figure.textContent())?.[1];
        if (millis) list.push(Number(millis.replace(',', '')));
      }
    }
    for (const [view, list] of Object.entries(times)) if (list.length) row(`${name}: click to drawn, ${view}`, list);
  });
}

/** The engine's worker never gets to the time when it works ahead. */
const NEVER_AHEAD = `{ const wait = setTimeout; globalThis.setTimeout = (work, millis, ...more) => wait(work, millis === 300 ? 2 ** 30 : millis, ...more); }`;

/** What an engine says above its attention view. */
const drawnIn = async (page) => {
  const text = await page.locator('figure', { has: page.locator(byTest('view-attention')) }).textContent();
  return Number(/([\d.]+) ms/.exec(text)[1]);
};

/** The first pictures of their kind, as the page says under them; with the engine working ahead, and without. */
async function firstClicks(name, options) {
  for (const ahead of [false, true]) {
    const times = { 'all heads': [], 'all heads again': [], rollout: [], 'one head of a patch': [] };
    for (let time = 0; time < 3; time += 1) {
      await visit({ ...options, path: `#room=see&engine=${name}`, first: ahead ? '' : NEVER_AHEAD }, async ({ page }) => {
        await settled(page);
        if (ahead) await waitFor(page, 'the engine to have worked ahead', () => window.lab.debug.warm);
        for (const [what, press] of [['all heads', 'map-1'], ['rollout', 'map-2'], ['all heads again', 'map-1'], ['one head of a patch', 'map-0']]) {
          if (press === 'map-0') await page.locator(byTest('query-patch')).check();
          await page.locator(byTest(press)).check();
          await still(page);
          times[what].push(await drawnIn(page));
        }
      });
    }
    for (const [what, list] of Object.entries(times)) row(`${name}, ${ahead ? '' : 'not '}working ahead: first ${what}`, list);
  }
}

/** A training step of the room's own presets. */
async function steps(name, options) {
  for (const method of ['mae', 'dino']) {
    await visit({ ...options, path: `#room=train&method=${method}&engine=${name}` }, async ({ page }) => {
      const at = () => page.evaluate(() => [window.lab?.debug?.train?.step ?? -1, performance.now()]);
      await reached(page, 1);
      await page.locator(byTest('play')).click();
      const times = [];
      await reached(page, 4);
      for (let time = 0; time < 5; time += 1) {
        const [from, begin] = await at();
        await reached(page, from + 5);
        const [to, end] = await at();
        times.push((end - begin) / (to - from));
      }
      row(`${name}: a step of ${method}, with all that the room draws`, times);
    });
  }
}

/** The six samples, one by one, by the JavaScript API. */
async function embedding(name, options, model) {
  const files = await Promise.all(
    (await readdir(model)).filter((file) => /^(config|preprocessor_config)\.json$|\.safetensors$/.test(file))
      .map(async (file) => ({ name: file, base64: (await readFile(join(model, file))).toString('base64') })),
  );
  const samples = (await readdir(SAMPLES)).filter((file) => file.endsWith('.jpg'));
  await visit({ ...options, path: `examples/embed.html?engine=${name}` }, async ({ page }) => {
    const times = await page.evaluate(async ([list, samples, engine]) => {
      const { Model } = await import('../api/lab.js');
      const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const model = await Model.load(list.map(({ name, base64 }) => new File([bytes(base64)], name)), { engine });
      const times = [];
      for (const sample of [...samples, ...samples, ...samples]) times.push((await model.embed(`../samples/${sample}`)).millis);
      return times.slice(samples.length);
    }, [files, samples, name]);
    row(`${name}: from pixels to embedding, ${model.split('/').at(-1)}`, times);
  });
}

const words = process.argv.slice(2);
const only = words[0] === '--engine' ? words.splice(0, 2)[1] : undefined;
const chosen = Object.entries(ENGINES).filter(([name]) => !only || name === only);
// On a software adapter the GPU engine is slow at the rest.
const thorough = chosen.filter(([name]) => name === only || name === 'cpu');
console.log('| what | median | range | times |\n|---|--:|--:|--:|');
for (const [name, options] of chosen) await clicks(name, options);
for (const [name, options] of thorough) await opening(name, options);
for (const [name, options] of thorough) await steps(name, options);
for (const [name, options] of chosen) await firstClicks(name, options);
if (words[0]) for (const [name, options] of thorough) await embedding(name, options, words[0]);
