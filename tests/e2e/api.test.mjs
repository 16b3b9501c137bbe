// The JavaScript API in hurried hands: what it is given wrongly, at the wrong time, or twice at once is answered with a
// sentence or computed rightly, and never with the numbers of another picture or model.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, openWindow, waitFor } from './harness.mjs';
import { startSite } from './site.mjs';

const API = new URL('../../public/api/', import.meta.url);
const golden = (path) => readFile(fileURLToPath(new URL(`../golden/models/${path}`, import.meta.url)));

async function model(folder, name) {
  const parts = await Promise.all(['config.json', 'model.safetensors'].map(async (file) => [`${folder}/${file}`, await golden(`${name}/${file}`)]));
  return Object.fromEntries(parts);
}

/** The example page, whose engine runs; `window.say(work)` gives what `work` throws, and `window.vector(image)` its class token. */
async function openApi(t, { allow = [], ...options } = {}) {
  const site = await startSite(t, { ...(await model('/models/one', 'dinov2-mlp')), ...(await model('/models/two', 'clip-vision')) });
  const missing = [/status of 404/, /failed request: 404/];
  const browser = await openWindow(t, { ...WITHOUT_WEBGPU, ...options, allow: [...WITHOUT_WEBGPU.allow, ...missing, ...allow] });
  await browser.page.goto(site.url('examples/embed.html?engine=cpu'));
  await waitFor(browser.page, 'the engine', () => window.lab?.example || window.lab?.failure);
  await browser.page.evaluate(() => {
    window.say = (work) => work().then(() => 'no error', (error) => (error instanceof Error ? error.message : `no Error: ${error}`));
    window.vector = async (image) => (await window.lab.example.model.embed(image)).cls;
    window.bitmap = async () => createImageBitmap(await (await fetch('/samples/harbour.jpg')).blob());
  });
  return { ...browser, site };
}

test('the types name what lab.js has', async () => {
  const module = await import(new URL('lab.js', API));
  const types = await readFile(new URL('lab.d.ts', API), 'utf8');
  const named = [...types.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), Object.keys(module).sort());
  const body = (kind, name) => new RegExp(`export ${kind} ${name} \\{\\n([^]*?)\\n\\}`).exec(types)[1];
  for (const name of ['Lab', 'Model']) {
    const [methods, fields] = [/^ {2}(?:static )?(?!private)(\w+)\(/gm, /^ {2}readonly (\w+):/gm].map((pattern) =>
      [...body('class', name).matchAll(pattern)].map(([, member]) => member),
    );
    const has = [...Object.getOwnPropertyNames(module[name].prototype), ...Object.getOwnPropertyNames(module[name])];
    const functions = has.filter((member) => !['constructor', 'length', 'name', 'prototype', 'lab'].includes(member));
    assert.deepEqual(methods.sort(), functions.sort(), `methods of ${name}`);
    assert.deepEqual(fields.sort(), name === 'Lab' ? ['engine', 'kernels'] : ['info', 'lab'], `fields of ${name}`);
  }
  const options = [...body('interface', 'Options').matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name);
  const said = await module.Lab.open({ device: 'gpu' }).catch((error) => error.message);
  assert.equal(said, `Unknown option "device": expected any of ${options.join(', ')}.`);
});

test('a model whose engine has another one says so, and each picture has its own numbers', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openApi(t);
  const found = await page.evaluate(async () => {
    const { Lab, Model, cosine } = window.lab;
    const lab = await Lab.open({ engine: 'cpu' });
    // Both at once: the second is there when both have come.
    const [one, two] = await Promise.all([Model.on(lab, '/models/one/'), Model.on(lab, '/models/two/model.safetensors?v=2#a')]);
    const [stale, ...fresh] = await Promise.all([
      window.say(() => one.embed('/samples/reef.jpg')),
      ...['reef', 'harbour', 'reef', 'lemons'].map((name) => two.embed(`/samples/${name}.jpg`)),
    ]);
    const alone = [];
    for (const name of ['reef', 'harbour', 'reef', 'lemons']) alone.push(await two.embed(`/samples/${name}.jpg`));
    // What fails to load puts nothing in the place of what is there.
    const failed = await window.say(() => Model.on(lab, '/models/none/'));
    const nothing = await window.say(() => lab.ask());
    const after = (await two.embed('/samples/reef.jpg')).dim;
    lab.close();
    const closed = await window.say(() => two.embed('/samples/reef.jpg'));
    return { stale, alike: fresh.map(({ cls }, index) => cosine(cls, alone[index].cls)), apart: cosine(fresh[0].cls, fresh[1].cls), failed, nothing, after, closed };
  });
  assert.match(found.stale, /\/models\/one\/ is no longer on its engine, Model\.on has put \S+\/models\/two\/\S* there: ask that one/);
  assert.ok(found.alike.every((alike) => alike > 0.999999), `${found.alike}`);
  assert.ok(found.apart < 0.9999, `two pictures of cosine ${found.apart}`);
  assert.match(found.failed, /is no model: found neither; give the address of a folder/);
  assert.match(found.nothing, /does not understand this command/);
  assert.equal(found.after, 64);
  assert.match(found.closed, /^The lab was closed: open another/);
  check();
});

test('pixels that are there are embedded, and pixels that are not are asked for', { timeout: 120_000 }, async (t) => {
  const { page } = await openApi(t, { allow: [/ERR_FILE_NOT_FOUND/, /blob:.*net::ERR/, /ERR_FAILED/] });
  const alike = await page.evaluate(async () => {
    const right = await window.vector('/samples/harbour.jpg');
    const images = {};
    // It has a size before it has come.
    images.sized = new Image(224, 224);
    images.sized.src = '/samples/harbour.jpg';
    // Its bytes are gone, what it shows is not.
    images.revoked = new Image();
    images.revoked.src = URL.createObjectURL(await (await fetch('/samples/harbour.jpg')).blob());
    await images.revoked.decode();
    URL.revokeObjectURL(images.revoked.src);
    images.frame = new VideoFrame(await window.bitmap(), { timestamp: 0 });
    const alike = {};
    for (const [name, image] of Object.entries(images)) alike[name] = window.lab.cosine(await window.vector(image), right);
    images.frame.close();
    return alike;
  });
  for (const [name, value] of Object.entries(alike)) assert.ok(value > 0.9999, `${name}: cosine ${value}`);
  const shown = await page.evaluate(async () => {
    // 64 x 48 pixels, shown smaller: all of them count.
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
    canvas.getContext('2d').drawImage(await window.bitmap(), 0, 0, 64, 48);
    const video = Object.assign(document.createElement('video'), { muted: true, width: 16, height: 12, srcObject: canvas.captureStream(5) });
    const early = await window.say(() => window.vector(video));
    await video.play();
    return [early, window.lab.cosine(await window.vector(video), await window.vector(canvas))];
  });
  assert.match(shown[0], /no picture in this HTMLVideoElement: wait for its event loadeddata\.$/);
  assert.ok(shown[1] > 0.98, `a video: cosine ${shown[1]}`);
  const said = await page.evaluate(async () => {
    const closed = await window.bitmap();
    closed.close();
    const images = [closed, new Image(9, 9), document.createElement('video'), new OffscreenCanvas(0, 0), new OffscreenCanvas(4, 4), ['a', 'b'], new ArrayBuffer(8), '', 'http://', '/none.jpg', '/examples/embed.html'];
    const said = [];
    for (const image of images) said.push(await window.say(() => window.vector(image)));
    const { cosine } = window.lab;
    for (const pair of [[[1, 2], [1, 2, 3]], [{ cls: [1] }, [1]]]) said.push(await window.say(async () => cosine(...pair)));
    return said;
  });
  const expected = [
    /this ImageBitmap: it was closed/, /this HTMLImageElement: give it a src/, /this HTMLVideoElement: wait for/, /this OffscreenCanvas: give it a width/,
    /^The pixels of this OffscreenCanvas of 4 x 4 cannot be read .*draw on it first/, /found one Array\. Give one at a time/, /found one ArrayBuffer\. Give new Blob/,
    /address of the image is empty/, /^"http:\/\/" is no address/, /^The image at \/none\.jpg answered 404/, /^\/examples\/embed\.html: not an image we read/i,
    /found 2 numbers and 3 numbers\.$/, /found a value of type object and 1 numbers\.$/,
  ];
  assert.equal(said.length, expected.length);
  for (const [index, pattern] of expected.entries()) assert.match(said[index], pattern);
});

test('the API works in a worker', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openApi(t);
  const answers = await page.evaluate(async () => {
    // Out of a blob, which has no folder of its own.
    const source = `import { Model } from "${location.origin}/api/lab.js";
      const blob = await (await fetch("${location.origin}/samples/harbour.jpg")).blob();
      const model = await Model.load("models/one/", { engine: "cpu" });
      const svg = new Blob(['<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'], { type: "image/svg+xml" });
      const say = (image) => model.embed(image).then(({ dim }) => dim, (error) => error.message);
      const answers = [];
      for (const image of [blob, await createImageBitmap(blob), new ImageData(9, 9), "samples/harbour.jpg", svg, null]) answers.push(await say(image));
      postMessage(answers);`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  });
  assert.deepEqual(answers.slice(0, 4), [64, 64, 64, 64]);
  assert.match(answers[4], /^An SVG is drawn by a page and not by a worker/);
  assert.match(answers[5], /^There is no picture in this: .*; found null\.$/);
  check();
});

test('options: what they are not is said, and a signal ends a load', { timeout: 120_000 }, async (t) => {
  const { page, site } = await openApi(t, { allow: [/net::ERR_ABORTED/] });
  // It tells of more than ever comes.
  site.rules['/models/two/model.safetensors'] = { ranges: false, total: 900_000_000 };
  const said = await page.evaluate(async () => {
    const { Lab, Model } = window.lab;
    const said = [];
    for (const options of [null, 'cpu', { device: 'cpu' }, { engine: 'wasm' }, { onProgress: 5 }, { base: 'http://' }, { engine: 'cpu', base: '/none' }]) {
      said.push(await window.say(() => Model.load('builtin', options)));
    }
    said.push(await window.say(() => Model.load()), await window.say(() => Model.on(null, 'builtin')));
    const leave = new AbortController();
    const onWarning = () => leave.abort();
    said.push(await window.say(() => Model.load('/models/two/', { engine: 'cpu', signal: leave.signal, onWarning })));
    said.push(await window.say(() => Lab.open({ engine: 'cpu', signal: leave.signal })));
    // Beside the page, with or without the slash.
    const model = await Model.load('/models/one', { engine: 'cpu', base: '..' });
    said.push(model.info.embed_dim);
    model.close();
    return said;
  });
  const expected = [
    /^Expected options as an object with any of engine, .*; found null\.$/, /; found a value of type string\.$/, /^Unknown option "device": expected any of engine/,
    /^The option engine is "wasm": expected "auto", "cpu" or "gpu"\.$/, /^The option onProgress is a value of type number: expected a function\.$/,
    /^The option base is no address/, /did not start: \S+\/none\/engine\/worker\.js could not be loaded\. Check that the file lies there \(option base\)/,
    /; found undefined\.$/, /^Expected an open engine first.*; found null\.$/, /aborted/, /aborted/, /^64$/,
  ];
  assert.equal(said.length, expected.length);
  for (const [index, pattern] of expected.entries()) assert.match(String(said[index]), pattern);
});

test('a policy that is too strict is named', { timeout: 120_000 }, async (t) => {
  const { page, site, context } = await openApi(t, { allow: [/Content Security Policy/i, /_bg\.wasm net::ERR_ABORTED/] });
  const policies = {
    "script-src 'self'; worker-src blob: 'self'": /may not run WebAssembly here .*Add 'wasm-unsafe-eval' to script-src/,
    "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'": /did not start.*blob: in worker-src/,
  };
  for (const [policy, expected] of Object.entries(policies)) {
    await context.route('**/strict.html', (route) =>
      route.fulfill({ contentType: 'text/html', headers: { 'Content-Security-Policy': policy }, body: '<!doctype html><link rel="icon" href="data:,">' }),
    );
    await page.goto(site.url('strict.html'));
    const said = await page.evaluate(async () => {
      const { Lab } = await import('/api/lab.js');
      return Lab.open({ engine: 'cpu' }).then(() => 'no error', (error) => error.message);
    });
    assert.match(said, expected);
    await context.unroute('**/strict.html');
  }
});
