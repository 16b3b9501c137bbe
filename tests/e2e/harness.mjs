// What every browser test needs: a fresh window of Chromium with a software GPU, the built page, and ears for anything
// that goes wrong. In a browser an invalid pipeline only logs and the run goes on with wrong numbers, so a test fails on
// any console error, any warning that speaks of the GPU, any uncaught exception (page or worker), any failed request.
//
// `cargo xtask test` serves dist/ and gives the address in LAB_URL. To run one file by hand:
//   cargo xtask web && cargo xtask serve --port 8080 &     LAB_URL=http://127.0.0.1:8080/ node --test smoke.test.mjs

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';

/** WebGPU by SwiftShader, also where there is no graphics card; with LAB_GPU=card by the machine's card. */
const ADAPTER = process.env.LAB_GPU === 'card'
  ? ['--enable-features=Vulkan', '--use-vulkan=native', '--use-angle=vulkan', '--ignore-gpu-blocklist', '--disable-vulkan-surface']
  : ['--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];

/** WebGPU, and no chatter with the outside. */
export const CHROMIUM_FLAGS = [
  '--headless', '--no-sandbox', '--enable-unsafe-webgpu', ...ADAPTER,
  '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync',
];

/** Options for the same browser without WebGPU: the page must then choose its CPU engine. */
export const WITHOUT_WEBGPU = {
  flags: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-features=WebGPU,WebGPUService',
    '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync',
  ],
  // What Chromium says when a page asks for an adapter that is not there.
  allow: [/Failed to create WebGPU Context Provider/, /No available adapters/],
};

/** Options for a browser in which the page runs on each engine; a software GPU only when the link asks for it. */
export const ENGINES = { cpu: WITHOUT_WEBGPU, gpu: { flags: CHROMIUM_FLAGS } };

/** Options for a test that asks for no more than the first of the page's pictures: each costs an embedding, and its views. */
export const ONE_SAMPLE = { samples: 1 };

/** The same without WebGPU. */
export const ONE_SAMPLE_ON_CPU = { ...WITHOUT_WEBGPU, ...ONE_SAMPLE };

/** Where the page is served. */
export function labUrl(path = '') {
  assert.ok(process.env.LAB_URL, 'LAB_URL is not set: run `cargo xtask test --web`, or see tests/e2e/harness.mjs');
  return new URL(path, process.env.LAB_URL).href;
}

/** Warnings that mean wrong numbers, not bad style. */
const GPU_WARNING = /webgpu|wgsl|shader|pipeline|bind ?group|gpu(device|buffer|adapter|queue)|\[invalid |validation/i;
/** Chromium says these about its own flags. */
const HARMLESS = [/WebGPU is experimental on this platform/i];

/** The browsers of this file's tests, by their flags: each start of one costs a sixth of a small test. */
const browsers = new Map();
/** Whether this is a file of tests; what else opens the page measures it or looks at it, and wants a browser of its own. */
const TESTS = process.env.NODE_TEST_CONTEXT !== undefined;
if (TESTS) {
  after(async () => {
    for (const browser of browsers.values()) await (await browser).close();
  });
}

const launch = (flags) => ({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: flags });

/** A window onto nothing: no storage, no cache of another's. `alone` has a browser and a profile of its own, on the disk. */
async function open(t, flags, alone, options) {
  if (alone) {
    const profile = await mkdtemp(join(tmpdir(), 'lab-e2e-'));
    const context = await chromium.launchPersistentContext(profile, { ...launch(flags), ...options });
    t.after(async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    });
    return context;
  }
  const key = flags.join(' ');
  if (!(await browsers.get(key))?.isConnected()) browsers.set(key, chromium.launch(launch(flags)));
  const context = await (await browsers.get(key)).newContext(options);
  t.after(() => context.close());
  return context;
}

/**
 * Opens a window for test `t` and closes it afterwards; the test fails at its end if anything went wrong
 * meanwhile. Options: `flags`, `allow` (regular expressions of problems that this test expects), `viewport`,
 * `serviceWorkers` ("allow" where the test is about working without a network: elsewhere its download would disturb),
 * `permissions`, `alone` (a browser of its own, which keeps on the disk what it is given), `samples` (how many of the
 * page's six pictures come, the first ones; the next stays on its way for as long as the test).
 * Returns `{ page, context, problems, requests, check }`; `check()` asserts that nothing went wrong so far.
 */
export async function openWindow(t, { flags = CHROMIUM_FLAGS, allow = [], viewport = { width: 1280, height: 900 }, serviceWorkers = 'block', permissions = [], alone = !TESTS, samples = Infinity } = {}) {
  const context = await open(t, flags, alone, { viewport, serviceWorkers, permissions });
  const problems = [];
  const requests = [];
  const held = new Set();
  if (samples < Infinity) {
    // Nothing is given up meanwhile.
    await context.addInitScript(() => { AbortSignal.timeout = () => new AbortController().signal; });
    const come = new Set();
    await context.route('**/samples/*.jpg', (route, request) => {
      if (come.size < samples) come.add(request.url());
      if (come.has(request.url())) return route.continue();
      held.add(request);
    });
  }
  const report = (kind, text, where = '') => {
    const line = `${kind}: ${text}${where ? ` (${where})` : ''}`;
    if (![...HARMLESS, ...allow].some((pattern) => pattern.test(line))) problems.push(line);
  };
  const listen = async (page) => {
    page.on('console', (message) => {
      const [type, text] = [message.type(), message.text()];
      if (type === 'error' || type === 'assert') report(`console ${type}`, text, message.location().url);
      if (type === 'warning' && GPU_WARNING.test(text)) report('console warning', text, message.location().url);
    });
    page.on('pageerror', (error) => report('uncaught', error.stack ?? String(error)));
    page.on('crash', () => report('crash', 'the page crashed'));
    await listenToWorkers(context, page, report);
  };
  context.on('request', (request) => requests.push(request.url()));
  context.on('requestfailed', (request) => {
    if (held.has(request)) return; // it was never answered, and its page was left
    report('failed request', `${request.method()} ${request.url()} ${request.failure()?.errorText ?? ''}`);
  });
  context.on('response', (response) => {
    if (response.status() >= 400) report('failed request', `${response.status()} ${response.url()}`);
  });
  const page = context.pages()[0] ?? await context.newPage();
  await listen(page);
  context.on('page', (other) => void listen(other));
  const check = () => assert.deepEqual(problems, [], 'the browser reported problems');
  t.after(check);
  t.signal?.addEventListener('abort', () => {
    for (const what of waits) t.diagnostic(`ended while it waited for ${what}`);
    waits.clear();
  });
  return { page, context, problems, requests, check };
}

/**
 * Playwright drops what Chromium itself logs on behalf of a worker (WebGPU validation errors among it), so we ask
 * Chromium's own log domain for the page and for each worker.
 */
async function listenToWorkers(context, page, report) {
  const session = await context.newCDPSession(page);
  session.on('Log.entryAdded', ({ entry }) => {
    const { level, text, source, url } = entry;
    if (level === 'error' || (level === 'warning' && GPU_WARNING.test(text))) report(`${source} ${level}`, text, url);
  });
  await session.send('Log.enable');
}

/**
 * Opens a window, the page in it, and waits until the document is there. Options as for `openWindow`, `path`,
 * `trained` (the page opens the trained network that a visitor meets where the path names none, and not one of random
 * weights), and `first`: code that stands before the first line of the page and of every script that it makes, its workers'
 * among them.
 */
export async function openLab(t, { path = '', trained = false, first = '', ...options } = {}) {
  const browser = await openWindow(t, options);
  if (first) {
    await browser.context.addInitScript(`${first};(() => {
      const Plain = window.Blob;
      window.Blob = function (parts, options) {
        return new Plain(options?.type?.includes('javascript') ? [${JSON.stringify(`${first};`)}, ...parts] : parts, options);
      };
      window.Blob.prototype = Plain.prototype;
    })()`);
  }
  if (!trained) {
    await browser.context.route('**/weights/manifest.json', async (route) => {
      const { models } = await (await route.fetch()).json();
      await route.fulfill({ json: { models: models.map((model) => ({ ...model, first: false })) } });
    });
  }
  await browser.page.goto(labUrl(path), { waitUntil: 'load' });
  return browser;
}

/** Opens the page outside of a test, for `work`, and closes it afterwards. Options as for `openLab`. */
export async function visit(options, work) {
  const closing = [];
  try {
    return await work(await openLab({ after: (close) => closing.push(close) }, { trained: true, ...options }));
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** A wait ends before the 120 seconds that most tests have, so that a test that hangs says what for. */
const PATIENCE = 110_000;
/** What the running test waits for, where its own time is over all the same. */
const waits = new Set();

/**
 * Waits for `condition` (run in the page, given `argument`) to become true; says what it waited for if it does not.
 * Never an async one: a promise counts as true there; `until` awaits.
 */
export async function waitFor(page, what, condition, { argument, timeout = PATIENCE } = {}) {
  waits.add(what);
  try {
    await page.waitForFunction(condition, argument, { timeout, polling: 100 });
  } catch (error) {
    throw new Error(`waited ${timeout / 1000} s for ${what}`, { cause: error });
  } finally {
    waits.delete(what);
  }
}

/** Asks again and again, from here, until `ask` answers yes; an answer that fails, as while a page opens, is a no. */
export async function until(what, ask, { timeout = PATIENCE } = {}) {
  const end = Date.now() + timeout;
  waits.add(what);
  try {
    while (!(await Promise.resolve(ask()).catch(() => false))) {
      if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    waits.delete(what);
  }
}

/**
 * The tasks of the page's main thread while `work()` is under way, the longest first: `{ at, cpu, wall }` in milliseconds. `cpu` is
 * what the task itself computed: on a busy machine a task stands still for longer than it works. `work` may open the page.
 */
export async function tasks(page, work) {
  const session = await page.context().newCDPSession(page);
  await session.send('Tracing.start', {
    transferMode: 'ReturnAsStream',
    traceConfig: { includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline', 'blink.user_timing'] },
  });
  await work();
  // The trace is the whole browser's: this names the page's thread in it.
  await page.evaluate(() => performance.mark('traced'));
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  const { stream } = await complete;
  let text = '';
  for (let end = false; !end;) {
    const { data, eof, base64Encoded } = await session.send('IO.read', { handle: stream, size: 1 << 20 });
    text += base64Encoded ? Buffer.from(data, 'base64').toString() : data;
    end = eof;
  }
  await session.detach();
  const events = JSON.parse(text).traceEvents;
  const mark = events.find(({ name, cat }) => name === 'traced' && cat === 'blink.user_timing');
  assert.ok(mark, 'the trace holds no page');
  const all = events.filter(({ name, pid, tid }) => name === 'RunTask' && pid === mark.pid && tid === mark.tid);
  assert.ok(all.length > 100, `only ${all.length} tasks were traced`);
  const began = Math.min(...all.map(({ ts }) => ts));
  return all.map(({ ts, dur, tdur }) => ({ at: (ts - began) / 1e3, cpu: tdur / 1e3, wall: dur / 1e3 })).sort((a, b) => b.cpu - a.cpu);
}

/** Drops files (`{ name, type, bytes }`) on an element, as a user would with the mouse. */
export async function dropFiles(page, selector, files) {
  const plain = files.map(({ name, type, bytes }) => ({ name, type, base64: Buffer.from(bytes).toString('base64') }));
  const transfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const { name, type, base64 } of list) {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], name, { type }));
    }
    return data;
  }, plain);
  for (const event of ['dragenter', 'dragover', 'drop']) {
    await page.dispatchEvent(selector, event, { dataTransfer: transfer });
  }
  await transfer.dispose();
}

/** The cosine of two vectors of the same length. */
export function cosine(a, b) {
  assert.equal(a.length, b.length, 'vectors of different length');
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return dot / Math.sqrt(aa * bb);
}
