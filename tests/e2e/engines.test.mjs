// Both engines, in the wasm that ships, against PyTorch and against the native program's own goldens: the kernels'
// self-check, every golden model, and the plain-HTML example that drives the JavaScript API.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ENGINES, ONE_SAMPLE, cosine, dropFiles, openLab, waitFor } from './harness.mjs';
import { byTest, cells, reached, said, settled, still, trainLink } from './rooms.mjs';

const SAMPLES = fileURLToPath(new URL('../../public/samples/', import.meta.url));
const MODELS = fileURLToPath(new URL('../golden/models/', import.meta.url));
const PHOTO = fileURLToPath(new URL('../golden/photo/cat.jpg', import.meta.url));

/** Folder, the one file of weights to take (where there are several), folder of the stored outputs. */
const CASES = [
  ['webdino-swiglu'], ['dinov2-mlp'], ['dinov2-mlp-f16', null, 'dinov2-mlp'], ['dinov2-mlp-sharded', null, 'dinov2-mlp'],
  ['dinov2-registers'], ['webmae-vit'], ['mae-normpix'], ['mae-rawpix'], ['clip-vision'], ['siglip-vision'],
  ['dinov2-mlp-original', 'flat.pth'], ['mae-normpix-original', 'mae.pth', 'mae-normpix'],
];

async function filesOf([folder, only, outputs = folder]) {
  const names = (await readdir(join(MODELS, folder))).filter(
    (name) => !name.startsWith('io') && (name.endsWith('.json') || !only || name === only),
  );
  const paths = [...names.map((name) => [name, join(folder, name)]), ['io.safetensors', join(outputs, 'io.safetensors')]];
  return Promise.all(
    paths.map(async ([name, path]) => ({ name, base64: (await readFile(join(MODELS, path))).toString('base64') })),
  );
}

/** Opens the example page, which loads the API and embeds two pictures on the engine asked for. */
async function openExample(t, engine) {
  const browser = await openLab(t, { path: `examples/embed.html?engine=${engine}` });
  await waitFor(browser.page, `the ${engine} engine`, () => window.lab?.example || window.lab?.failure, { timeout: 240_000 });
  assert.equal(await browser.page.evaluate(() => window.lab.failure ?? null), null);
  return browser;
}

for (const engine of ['cpu', 'gpu']) {
  test(`the ${engine} engine equals PyTorch in the browser`, { timeout: 900_000 }, async (t) => {
    const { page, check } = await openExample(t, engine);
    const { dim, alike, self, kind } = await page.evaluate(() => {
      const { model, first, alike } = window.lab.example;
      return { dim: first.cls.length, alike, self: window.lab.cosine(first.cls, first.cls), kind: model.lab.engine.kind };
    });
    assert.equal(kind, engine);
    assert.equal(dim, 192);
    assert.ok(Math.abs(self - 1) < 1e-6 && alike < 0.99999, `two pictures of cosine ${alike}`);

    const checked = await page.evaluate(async () => (await window.lab.example.model.lab.selfCheck()).kernels);
    assert.deepEqual(checked.filter((kernel) => !kernel.passed), [], 'kernels that differ from their twins');
    assert.equal(checked.length > 0, engine === 'gpu', `${checked.length} kernels were checked`);

    for (const item of CASES) {
      const files = await filesOf(item);
      const report = await page.evaluate(async (list) => {
        const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const given = list.map(({ name, base64 }) => new File([bytes(base64)], name));
        return window.lab.example.model.parity(given, { atol: 1e-4, rtol: 1e-4 });
      }, files);
      const wrong = report.tensors.filter((tensor) => !tensor.passed);
      assert.ok(report.passed, `${item[0]} on ${engine}: ${JSON.stringify(wrong)}`);
      assert.ok(report.tensors.length >= 4, `${item[0]}: only ${report.tensors.length} tensors compared`);
      check();
    }
  });
}

/** The embedding of a photo by the native program, on its CPU device. */
async function nativeEmbedding(t, model, photo) {
  assert.ok(process.env.NATIVE_TRAINER, 'NATIVE_TRAINER is not set: run `cargo xtask test --web`');
  const folder = await mkdtemp(join(tmpdir(), 'lab-native-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const out = join(folder, 'embedding.csv');
  await promisify(execFile)(process.env.NATIVE_TRAINER, ['embed', model, photo, '--out', out, '--device', 'cpu']);
  const row = (await readFile(out, 'utf8')).trim().split('\n')[1];
  return row.split(',').slice(-64).map(Number);
}

test('a photo has the same embedding in the browser, on both engines, as natively', { timeout: 600_000 }, async (t) => {
  const photo = 'harbour.jpg';
  const native = await nativeEmbedding(t, join(MODELS, 'dinov2-mlp'), join(SAMPLES, photo));
  assert.ok(native.length === 64 && native.every(Number.isFinite));
  const files = (await filesOf(['dinov2-mlp'])).filter(({ name }) => name !== 'io.safetensors');
  for (const engine of ['cpu', 'gpu']) {
    const { page } = await openExample(t, engine);
    const ours = await page.evaluate(async ([list, photo]) => {
      const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const given = list.map(({ name, base64 }) => new File([bytes(base64)], name));
      const model = await window.lab.Model.on(window.lab.example.model.lab, given);
      return [...(await model.embed(`../samples/${photo}`)).cls];
    }, [files, photo]);
    const alike = cosine(ours, native);
    assert.ok(alike >= 0.9999, `${engine}: cosine ${alike} with the native embedding`);
  }
});

test('a photograph dropped on the page has the native embedding on both engines, and its three views answer', { timeout: 600_000 }, async (t) => {
  const native = await nativeEmbedding(t, join(MODELS, 'dinov2-mlp'), PHOTO);
  const bytes = await readFile(PHOTO);
  const model = ['config.json', 'model.safetensors'].map((name) => join(MODELS, 'dinov2-mlp', name));
  for (const engine of ['cpu', 'gpu']) {
    const { page, check } = await openLab(t, { ...ENGINES[engine], ...ONE_SAMPLE, path: `#engine=${engine}` });
    await settled(page, 1);
    assert.match(await page.locator(byTest('engine-status')).textContent(), engine === 'gpu' ? /GPU engine/ : /CPU engine/);
    await page.setInputFiles(byTest('model-files'), model);
    await waitFor(page, 'the model', () => /64 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));
    await dropFiles(page, 'body', [{ name: 'cat.jpg', type: 'image/jpeg', bytes }]);
    await waitFor(page, 'its embedding', () => window.lab.debug.images?.['cat.jpg']?.cls?.length === 64);
    const ours = await page.evaluate(() => [...window.lab.debug.images['cat.jpg'].cls]);
    const alike = cosine(ours, native);
    assert.ok(alike >= 0.9999, `${engine}: cosine ${alike} with the native embedding`);

    await page.locator(byTest('query-patch')).check();
    await still(page);
    const views = ['view-attention', 'view-similarity', 'view-pca'];
    const look = () => Promise.all(views.map(async (view) => (await cells(page, view)).join()));
    const before = await look();
    assert.equal(new Set(before).size, views.length, 'three views show the same');
    await page.locator(byTest('patch-grid')).click({ position: { x: 6, y: 6 } });
    await waitFor(page, 'the caption', () => /row 1, column 1/.test(document.body.textContent));
    await still(page);
    const after = await look();
    assert.notEqual(after[0], before[0], `${engine}: attention did not follow the click`);
    assert.notEqual(after[1], before[1], `${engine}: similarity did not follow the click`);
    assert.equal(after[2], before[2], `${engine}: the colours depend on no click`);
    check();
  }
});

test('a kernel that a driver makes wrong is named, replaced, and the numbers stay right, at the start and for a model', { timeout: 300_000 }, async (t) => {
  const example = await openExample(t, 'cpu');
  const right = await example.page.evaluate(async () => [...(await window.lab.example.model.embed('../samples/harbour.jpg')).cls]);
  // Every shader is seen on its way to the driver.
  const spoil = `{
    const compile = GPUDevice.prototype.createShaderModule;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      let { code } = descriptor;
      code = code.replace('let mean = sum_of_64', 'let mean = 0.25 + sum_of_64');
      // Attention at the built-in model's 64 numbers a head, which no start compiles.
      if (code.includes('const QUADS: u32 = 64u / 4u;')) code = code.replace('let q0 = qkv', 'let q0 = 1.5 * qkv');
      return compile.call(this, { ...descriptor, code });
    };
  }`;
  const { page, check } = await openLab(t, { ...ONE_SAMPLE, path: '#engine=gpu&sample=harbour', first: spoil });
  await waitFor(page, 'a word', () => /gave wrong numbers.*: layer_norm\. Results stay right/.test(document.querySelector('[role=alert]')?.textContent));
  await waitFor(page, 'a word of the other', () => /gave wrong numbers.*: attention\. Results stay right/.test(document.querySelector('[role=alert]')?.textContent));
  await settled(page, 1);
  assert.match(await page.locator(byTest('engine-status')).textContent(), /GPU engine/);
  const ours = await page.evaluate(() => [...window.lab.debug.images['harbour.jpg'].cls]);
  const alike = cosine(ours, right);
  assert.ok(alike > 0.99999, `cosine ${alike} with what the CPU engine makes of it`);
  check();
});

/** The software adapter says that it is a card. */
const DISGUISE = `if (globalThis.GPUAdapter) Object.defineProperty(GPUAdapter.prototype, 'info', { get: () => ({
  vendor: 'test', architecture: 'card', device: '', description: 'a card of the test', isFallbackAdapter: false, subgroupMinSize: 4, subgroupMaxSize: 4,
}) })`;

const GOLDEN = ['config.json', 'model.safetensors'].map((name) => join(MODELS, 'dinov2-mlp', name));
const status = (page) => page.locator(byTest('engine-status')).textContent();
const embedding = (page, name) => page.evaluate((name) => ({ ...window.lab.debug.images[name], cls: [...window.lab.debug.images[name].cls] }), name);

const gpuRuns = (page) => waitFor(page, 'the GPU engine', () => /GPU engine/.test(document.querySelector('[data-testid="engine-status"]')?.textContent), { timeout: 200_000 });

/** Puts a model and a photograph of its own on the page, and waits until everything is drawn. */
async function ownModelAndPhoto(page) {
  await page.setInputFiles(byTest('model-files'), GOLDEN);
  await waitFor(page, 'the model', () => /64 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));
  await dropFiles(page, 'body', [{ name: 'cat.jpg', type: 'image/jpeg', bytes: await readFile(PHOTO) }]);
  await waitFor(page, 'its embedding', () => window.lab.debug.images?.['cat.jpg']?.cls?.length === 64);
  await waitFor(page, 'the photograph on show', () => window.lab.debug.image === 'cat.jpg');
}

test('where there is a card the GPU engine takes over by itself, and everything stays', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE, path: '#patch=3&layer=1&query=patch', first: DISGUISE });
  await waitFor(page, 'an embedding', () => Object.keys(window.lab?.debug?.images ?? {}).length > 0);
  assert.match(await status(page), /CPU engine/, 'the CPU answers first');
  await waitFor(page, 'a word of the other', () => /GPU engine is on its way/.test(document.body.textContent));
  // Chosen while the other engine is on its way: it goes over all the same.
  await ownModelAndPhoto(page);
  const before = await embedding(page, 'cat.jpg');
  assert.equal(before.engine, 'cpu');
  await waitFor(page, 'the GPU engine', () => /GPU engine: a card of the test/.test(document.querySelector('[data-testid="engine-status"]').textContent), { timeout: 200_000 });
  await waitFor(page, 'the reason', () => /Your browser offers WebGPU[^]*each of the \d+ kernels gives the numbers of its twin/.test(document.body.textContent));
  await waitFor(page, 'the same photograph', () => window.lab.debug.images?.['cat.jpg']?.engine === 'gpu', { timeout: 200_000 });
  await still(page);
  assert.match(await page.locator(byTest('model-select')).textContent(), /64 wide/, 'the model stays');
  assert.equal(await page.evaluate(() => window.lab.debug.image), 'cat.jpg', 'the photograph on show stays');
  assert.match(await page.locator('figure', { has: page.locator(byTest('view-attention')) }).textContent(), /layer 1/, 'the view stays');
  // The patch is where it was on the picture: the visitor's model has a coarser grid.
  assert.match(await page.evaluate(() => location.hash), /patch=0&layer=1&query=patch/);
  const after = await embedding(page, 'cat.jpg');
  const alike = cosine(after.cls, before.cls);
  assert.ok(alike >= 0.9999, `cosine ${alike} between the engines`);
  check();
});

/** What Chromium and burn say of a device that is gone; nothing else may go wrong. */
const OF_A_LOSS = [/device (is|was) (lost|destroyed)|lost device|device lost|\[Device[^\]]*\] is (lost|destroyed)/i];

test('a GPU that is really lost is asked for anew, and model, photograph and view come back', { timeout: 300_000 }, async (t) => {
  const { page } = await openLab(t, { ...ONE_SAMPLE, path: '#engine=gpu&patch=3&layer=1&query=patch', allow: OF_A_LOSS });
  await gpuRuns(page);
  await ownModelAndPhoto(page);
  await still(page);
  const before = await embedding(page, 'cat.jpg');
  const seen = await cells(page, 'view-attention');
  await page.evaluate(() => { delete window.lab.debug.images['cat.jpg']; window.lab.debug.loseDevice(); });
  // Nobody has to ask for anything: the loss tells itself.
  await waitFor(page, 'the loss to be noticed', () => window.lab.debug.losses === 1);
  await said(page, /The GPU was lost \(Destroyed.*new engine starts by itself \(1 of 3 tries\)/);
  await waitFor(page, 'the same photograph', () => window.lab.debug.images?.['cat.jpg'], { timeout: 200_000 });
  await still(page);
  assert.match(await status(page), /GPU engine/);
  assert.match(await page.locator(byTest('model-select')).textContent(), /64 wide/, 'the model comes back');
  assert.match(await page.evaluate(() => location.hash), /patch=3.*layer=1.*query=patch.*engine=gpu|engine=gpu/);
  assert.deepEqual((await embedding(page, 'cat.jpg')).cls.map((x) => x.toFixed(4)), before.cls.map((x) => x.toFixed(4)));
  assert.deepEqual(await cells(page, 'view-attention'), seen, 'the view is the one before');
  assert.equal(await page.evaluate(() => window.lab.debug.losses), 1);
});

test('a GPU lost in the middle of a run is replaced, and the run goes on', { timeout: 300_000 }, async (t) => {
  const tiny = ['model.depth=1', 'train.batch_size=4', 'crops.global_size=16', 'crops.local_size=8'];
  const { page } = await openLab(t, { ...ONE_SAMPLE, path: trainLink('gpu', 'mae', ...tiny), allow: OF_A_LOSS });
  await reached(page, 1);
  await page.locator(byTest('play')).click();
  await reached(page, 2);
  await page.locator(byTest('play')).click();
  await waitFor(page, 'the save', () => window.lab.debug.train.saved === window.lab.debug.train.step);
  const { step, losses } = await page.evaluate(() => ({ ...window.lab.debug.train, losses: [...window.lab.debug.train.losses] }));
  await page.locator(byTest('play')).click();
  await reached(page, step + 1);
  await page.evaluate(() => window.lab.debug.loseDevice());
  await waitFor(page, 'the loss to be noticed', () => window.lab.debug.losses === 1);
  await said(page, /new engine starts by itself/);
  await waitFor(page, 'the run', () => /run goes on/.test(document.querySelector('[role=alert]').textContent), { timeout: 200_000 });
  await reached(page, step + 1);
  assert.match(await status(page), /GPU engine/);
  const after = await page.evaluate(() => [...window.lab.debug.train.losses]);
  assert.deepEqual(after.slice(0, losses.length), losses, 'the curve came along');
});

/** The page hears of every pipeline that a worker makes. */
const HEARD = `(() => {
  const channel = new BroadcastChannel('compiled');
  globalThis.compiled = [];
  channel.onmessage = ({ data }) => globalThis.compiled.push(data);
  for (const name of ['createComputePipeline', 'createRenderPipeline']) {
    const create = globalThis.GPUDevice?.prototype[name];
    if (create) GPUDevice.prototype[name] = function (descriptor) { channel.postMessage(descriptor.label); return create.call(this, descriptor); };
  }
})()`;

test('nothing is compiled at a first click: the engine works ahead', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { path: '#engine=gpu', first: HEARD });
  await gpuRuns(page);
  await ownModelAndPhoto(page);
  await page.evaluate(() => { delete window.lab.debug.warm; });
  await still(page);
  await waitFor(page, 'the engine to have worked ahead', () => window.lab.debug.warm === 'gpu');
  const before = await page.evaluate(() => window.compiled.splice(0).length);
  assert.ok(before > 20, `only ${before} pipelines were heard of`);
  for (const [what, press] of Object.entries({
    'all heads': 'map-1', rollout: 'map-2', 'one head': 'map-0', 'a patch asks': 'query-patch', 'one basis': 'basis-1', foreground: 'foreground',
  })) {
    await page.locator(byTest(press)).check();
    await still(page);
    assert.deepEqual(await page.evaluate(() => window.compiled), [], `${what} compiled`);
  }
  check();
});

test('bad input is answered with a sentence', { timeout: 240_000 }, async (t) => {
  const { page } = await openExample(t, 'cpu');
  const say = (work) => page.evaluate(`(${work})().then(() => "no error", (error) => error.message)`);
  const truncated = await say(`async () => window.lab.example.model.embed(new Blob([new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 16])]))`);
  assert.match(truncated, /image|JPEG/i);
  const noModel = await say(`async () => window.lab.Model.on(window.lab.example.model.lab, [new File(["{}"], "config.json")])`);
  assert.match(noModel, /config\.json|weights|checkpoint/i);
  const noPicture = await say(`async () => window.lab.example.model.embed(new Blob(["no picture"]))`);
  assert.match(noPicture, /not an image we read/);
  for (const [image, expected] of [['null', /There is no picture in this: expected an <img>/], ['{}', /There is no picture in this/]]) {
    assert.match(await say(`async () => window.lab.example.model.embed(${image})`), expected);
  }
  for (const [source, expected] of [
    ['null', /^No model can be loaded from this: expected the address of a folder.*; found null\.$/],
    ['5', /found a value of type number\.$/],
    ['{}', /found a value of type object\.$/],
    ['[1]', /found a list of something else\.$/],
    ['"http://"', /^"http:\/\/" is no address: expected that of a folder/],
  ]) {
    assert.match(await say(`async () => window.lab.Model.load(${source})`), expected);
    assert.match(await say(`async () => window.lab.Model.on(window.lab.example.model.lab, ${source})`), expected);
  }
  const again = await page.evaluate(async () => {
    const model = await window.lab.Model.on(window.lab.example.model.lab, 'builtin');
    return (await model.embed(document.querySelector('#first'))).dim;
  });
  assert.equal(again, 192, 'the engine goes on after bad input');
});

/** A picture of 32 x 24 pixels, blue beside red, as Pillow 13 wrote it. */
const AVIF =
  'AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9j' +
  'AAAAAEQAAAEAAQAAAAEAAAETAAAAOwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAIAAAABgAAAAQ' +
  'cGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAQ21kYXQSAAoJGBE/dogIaDQgMiwXh4eGIYSSSSZQAAAA' +
  'vOPdzXGEdC6veNqD7OtPPlSyr77n88bZZPAt/UwFrA==';
/** The same as a drawing. */
const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="24"><path fill="#1450dc" d="M0 0h16v24H0z"/><path fill="#c83c1e" d="M16 0h16v24H16z"/></svg>';

test('a picture that the browser shows and the engine does not read goes as pixels', { timeout: 240_000 }, async (t) => {
  const { page } = await openExample(t, 'cpu');
  const [plain, ...others] = await page.evaluate(async ([avif, svg]) => {
    const { model } = window.lab.example;
    const canvas = new OffscreenCanvas(32, 24);
    const context = canvas.getContext('2d');
    for (const [colour, x] of [['#1450dc', 0], ['#c83c1e', 16]]) {
      context.fillStyle = colour;
      context.fillRect(x, 0, 16, 24);
    }
    const bytes = Uint8Array.from(atob(avif), (c) => c.charCodeAt(0));
    const images = [canvas, new Blob([bytes], { type: 'image/avif' }), new Blob([bytes]), new Blob([svg], { type: 'image/svg+xml' })];
    const vectors = [];
    for (const image of images) vectors.push([...(await model.embed(image)).cls]);
    return vectors;
  }, [AVIF, SVG]);
  // AVIF loses a little of the colours.
  for (const [index, least] of [[0, 0.99], [1, 0.99], [2, 0.99999]]) {
    const alike = cosine(others[index], plain);
    assert.ok(alike >= least, `picture ${index}: cosine ${alike} with the same colours on a canvas`);
  }
});
