// The room Probe: a result before any click, classes made by hand, by camera, a probe out to the native program and in
// again, and search among embeddings that the native program made.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { WITHOUT_WEBGPU, dropFiles, openLab, waitFor } from './harness.mjs';
import { address, csv, pressed, said, save } from './rooms.mjs';

const run = promisify(execFile);
const byTest = (name) => `[data-testid="${name}"]`;
const MODEL = fileURLToPath(new URL('../golden/models/dinov2-mlp/', import.meta.url));
/** Chromium's own moving test picture instead of a camera. */
const CAMERA = { ...WITHOUT_WEBGPU, flags: [...WITHOUT_WEBGPU.flags, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'], permissions: ['camera'] };

/** Small PNGs of one colour with a little noise, which any model tells apart; made in the page. */
async function swatches(page, colour, count, from = 0) {
  const urls = await page.evaluate(async ([colour, count, from]) => {
    const made = [];
    for (let at = from; at < from + count; at += 1) {
      const canvas = new OffscreenCanvas(48, 48);
      const context = canvas.getContext('2d');
      context.fillStyle = colour;
      context.fillRect(0, 0, 48, 48);
      for (let spot = 0; spot < 40; spot += 1) {
        context.fillStyle = `rgb(255 255 255 / ${0.1 + 0.02 * ((spot * 7 + at) % 5)})`;
        context.fillRect((spot * 13 + at * 5) % 48, (spot * 29 + at * 11) % 48, 3, 3);
      }
      const blob = await canvas.convertToBlob();
      made.push([...new Uint8Array(await blob.arrayBuffer())]);
    }
    return made;
  }, [colour, count, from]);
  return urls.map((bytes, at) => ({ name: `${colour}-${from + at}.png`, type: 'image/png', bytes: Buffer.from(bytes) }));
}

const trained = (page) => waitFor(page, 'an accuracy', () => document.querySelector('[data-testid="probe-accuracy"]'));

/** Two empty classes with names, filled by hand. */
async function twoClasses(page) {
  await page.locator(byTest('start-empty')).click();
  const groups = page.locator('[data-testid^="class-"][role="group"]');
  await groups.nth(1).waitFor();
  assert.equal(await groups.count(), 2);
  for (const [at, name] of ['red', 'blue'].entries()) {
    await groups.nth(at).locator(byTest('class-name')).fill(name);
    await groups.nth(at).locator(byTest('class-name')).blur();
  }
  return groups;
}

test('a probe of the samples is there before any click', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=probe' });
  await trained(page);
  assert.match(await page.locator(byTest('probe-result')).textContent(), /2-fold cross-validation/);
  assert.equal(await page.locator(`${byTest('probe-confusion')} tbody tr`).count(), 3);
  assert.ok((await page.locator(`${byTest('probe-margins')} li`).count()) === 6);
  assert.match(await page.locator(byTest('probe-chance')).textContent(), /right in 33 %\. The model is untrained/);
  assert.doesNotMatch(await page.locator(byTest('probe-search')).textContent(), /`/);
  assert.equal(await address(page), '#room=probe&sample=ginger-cat', 'the example needs no words');

  // The report leaves with all that is on the screen, and more: both classifiers, every picture.
  const report = JSON.parse((await save(page, page.locator(byTest('report-json')))).text);
  assert.deepEqual([report.classes, report.features, report.k], [['cat', 'fruit', 'sea'], 'cls', 3]);
  const shown = await page.locator(`${byTest('probe-confusion')} tbody td span`).allTextContents();
  assert.deepEqual(report.linear.confusion.flat(), shown.map(Number));
  const classes = csv((await save(page, page.locator(byTest('classes-csv')))).text);
  assert.deepEqual(classes[0].slice(-3), ['taken for cat', 'taken for fruit', 'taken for sea']);
  assert.deepEqual(classes.slice(1).map(([by, name]) => `${by} ${name}`), ['Linear', 'k-NN'].flatMap((by) => report.classes.map((name) => `${by} ${name}`)));
  for (const [by, ...row] of classes.slice(1)) {
    const { [by === 'Linear' ? 'linear' : 'knn']: { classes: all, confusion } } = report;
    const { name, support, precision, recall, f1 } = all.find((one) => one.name === row[0]);
    assert.deepEqual(row, [name, support, precision, recall, f1, ...confusion[report.classes.indexOf(name)]].map(String));
  }
  const pictures = csv((await save(page, page.locator(byTest('margins-csv')))).text);
  assert.equal(pictures.length, 13, 'six pictures by two classifiers below their names');
  for (const [at, [by, picture, truth, answer, margin]] of pictures.slice(1).entries()) {
    const sample = (by === 'Linear' ? report.linear : report.knn).samples[at % 6];
    assert.deepEqual([picture, truth, answer], [report.pictures[at % 6], report.classes[sample.truth], report.classes[sample.predicted]]);
    // Both are written as the shortest decimal, one of an f32 and one of the f64 that it is.
    assert.equal(Math.fround(Number(margin)), sample.margin);
  }
  check();
});

test('classes by files and by drop are learned, new pictures are named, and the native program agrees', { timeout: 240_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=probe' });
  await trained(page);
  const files = ['config.json', 'model.safetensors'].map((name) => join(MODEL, name));
  await page.setInputFiles(byTest('model-files'), files);
  await waitFor(page, 'the small model', () => /64 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));
  const groups = await twoClasses(page);
  const red = await swatches(page, 'red', 5);
  await groups.nth(0).locator(byTest('class-files')).setInputFiles(red.map(({ name, type, bytes }) => ({ name, mimeType: type, buffer: bytes })));
  const blue = await swatches(page, 'blue', 5);
  const id = await groups.nth(1).getAttribute('data-testid');
  await dropFiles(page, byTest(id), blue);
  await waitFor(page, 'ten pictures', () => /10 pictures asked/.test(document.querySelector('[data-testid="probe-result"]').textContent));
  assert.equal(await page.locator(byTest('probe-accuracy')).textContent(), '100 %');
  const took = await page.locator(byTest('probe-time')).textContent();
  assert.ok(Number(/tested in (\d+) ms/.exec(took)[1]) < 1000, took);

  // New pictures, with how sure it is.
  const fresh = [...(await swatches(page, 'red', 1, 70)), ...(await swatches(page, 'blue', 1, 80))];
  await page.setInputFiles(byTest('ask-files'), fresh.map(({ name, type, bytes }) => ({ name, mimeType: type, buffer: bytes })));
  await waitFor(page, 'two answers', () => document.querySelectorAll('[data-testid="probe-answers"] li').length === 2);
  const answers = await page.locator(`${byTest('probe-answers')} strong`).allTextContents();
  assert.match(answers[0], /^red-70\.png: red, \d+ %$/);
  assert.match(answers[1], /^blue-80\.png: blue, \d+ %$/);

  // Before the page is left it asks, until the classes are in a file; from that they come back with their pictures.
  const asks = () => page.evaluate(() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true })));
  assert.equal(await asks(), true);
  const project = await pressed(page, page.locator(byTest('save-classes')));
  assert.equal(await asks(), false);
  await page.locator(byTest('start-empty')).click();
  await page.setInputFiles(byTest('open-classes'), { name: project.name, mimeType: '', buffer: project.bytes });
  await waitFor(page, 'ten pictures again', () => /10 pictures asked/.test(document.querySelector('[data-testid="probe-result"]').textContent));
  assert.deepEqual(await page.locator('[data-testid="class-name"]').evaluateAll((all) => all.map((input) => input.value)), ['red', 'blue']);
  await page.setInputFiles(byTest('open-classes'), { name: 'other.lab', mimeType: '', buffer: Buffer.from('no classes') });
  await said(page, /other\.lab holds no classes, or ends early/);

  // Out to a file that the native program reads, with the same answers.
  assert.ok(process.env.NATIVE_TRAINER, 'NATIVE_TRAINER is not set: run `cargo xtask test --web`');
  const folder = await mkdtemp(join(tmpdir(), 'lab-probe-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('probe-export')).click()]);
  const probe = join(folder, 'probe.safetensors');
  await download.saveAs(probe);
  for (const { name, bytes } of fresh) {
    const into = join(folder, 'new', name.split('-')[0]);
    await mkdir(into, { recursive: true });
    await writeFile(join(into, name), bytes);
  }
  const { stdout, stderr } = await run(process.env.NATIVE_TRAINER, ['eval', MODEL, join(folder, 'new'), '--probe', probe, '--labels', 'folder', '--device', 'cpu']);
  assert.doesNotMatch(stderr, /other weights|otherwise/);
  assert.match(stderr, /accuracy 100\.0%/);
  const rows = Object.fromEntries(stdout.trim().split('\n').slice(1).map((line) => [line.split(',')[0].split('/').pop(), line.split(',')]));
  const ours = answers.map((text) => Number(/(\d+) %/.exec(text)[1]));
  assert.ok(Math.abs(100 * Number(rows['red-70.png'][2]) - ours[0]) <= 1.5, `${rows['red-70.png']} and ${answers[0]}`);

  // A probe that was made natively opens here and answers.
  for (const [colour, list] of [['green', await swatches(page, 'green', 4)], ['red', red]]) {
    await mkdir(join(folder, 'train', colour), { recursive: true });
    await Promise.all(list.map(({ name, bytes }) => writeFile(join(folder, 'train', colour, name), bytes)));
  }
  const native = join(folder, 'native.safetensors');
  await run(process.env.NATIVE_TRAINER, ['probe', MODEL, join(folder, 'train'), '--out', native, '--device', 'cpu']);
  await page.setInputFiles(byTest('probe-import'), native);
  await waitFor(page, 'the word of it', () => /Opened a probe of green, red from 9 pictures/.test(document.body.textContent));
  assert.match(await page.locator(byTest('done')).textContent(), /with the weights that are loaded now/);
  await waitFor(page, 'its answer', () => /red-70\.png: red/.test(document.querySelector('[data-testid="probe-answers"]').textContent));
  // Another engine, here one more of the CPU, is given it too.
  await page.locator('input[name="engine"]').nth(1).check({ force: true });
  await waitFor(page, 'another engine', () => /You chose/.test(document.querySelector('[data-testid="engine-status"]').parentElement.textContent));
  await page.waitForTimeout(1000);
  const [again] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('probe-export')).click()]);
  assert.equal(again.suggestedFilename(), download.suggestedFilename());
  check();
});

test('a held button records from the camera, and the camera is asked live', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...CAMERA, path: '#room=probe' });
  await trained(page);
  const groups = await twoClasses(page);
  await page.locator(byTest('camera')).click();
  await waitFor(page, 'the camera', () => document.querySelector('[data-testid="probe-camera"]')?.videoWidth > 0);
  for (const at of [0, 1]) {
    const button = groups.nth(at).locator(byTest('hold'));
    if (at === 0) {
      await button.hover();
      await page.mouse.down();
      await page.waitForTimeout(900);
      await page.mouse.up();
    } else {
      // By keyboard as well.
      await button.focus();
      await page.keyboard.down('Space');
      await page.waitForTimeout(900);
      await page.keyboard.up('Space');
    }
    await waitFor(page, 'pictures', (at) => document.querySelectorAll('[data-testid^="class-"][role="group"]')[at].querySelectorAll('.strip li').length >= 2, { argument: at });
  }
  // A picture that was on its way when the button was let go may still come.
  await page.waitForTimeout(500);
  const before = await page.locator('.strip li').count();
  await page.waitForTimeout(500);
  assert.equal(await page.locator('.strip li').count(), before, 'it goes on recording');
  await trained(page);
  await page.locator(byTest('ask-live')).click();
  await waitFor(page, 'an answer for the camera', () => /camera: (red|blue), \d+ %/.test(document.querySelector('[data-testid="probe-answers"]').textContent));
  await page.locator(byTest('ask-live')).click();
  await page.locator(byTest('camera')).click();
  await waitFor(page, 'the camera to be off', () => !document.querySelector('[data-testid="probe-camera"]'));
  check();
});

test('without leave for the camera a sentence says what to do', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=probe' });
  await trained(page);
  await page.locator(byTest('camera')).click();
  await waitFor(page, 'a sentence', () => /camera/i.test(document.querySelector('[role=alert]').textContent));
  assert.match(await page.locator('[role=alert]').textContent(), /use files/);
});

test('embeddings made natively are searched by an image and by a patch, exactly', { timeout: 120_000 }, async (t) => {
  assert.ok(process.env.NATIVE_TRAINER, 'NATIVE_TRAINER is not set: run `cargo xtask test --web`');
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=probe&sample=reef' });
  await page.setInputFiles(byTest('model-files'), ['config.json', 'model.safetensors'].map((name) => join(MODEL, name)));
  await waitFor(page, 'the small model', () => window.lab?.debug?.images?.['reef.jpg']?.dim === 64);
  const folder = await mkdtemp(join(tmpdir(), 'lab-search-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const samples = fileURLToPath(new URL('../../public/samples/', import.meta.url));
  const embed = (out, more = []) => run(process.env.NATIVE_TRAINER, ['embed', MODEL, samples, '--out', join(folder, out), '--device', 'cpu', ...more]);
  await embed('e.safetensors');
  await page.setInputFiles(byTest('search-files'), join(folder, 'e.safetensors'));
  await waitFor(page, 'what can be searched', () => /6 images, 64 numbers/.test(document.querySelector('[data-testid="search-about"]').textContent));
  await page.locator(byTest('search-image')).click();
  await waitFor(page, 'results', () => document.querySelectorAll('[data-testid="search-hits"] li').length === 6);
  assert.match(await page.locator(`${byTest('search-hits')} li`).first().textContent(), /reef\.jpg1\.0000|reef\.jpg0\.999/);
  // Patches, from .npy with its list of names.
  await embed('p.npy', ['--what', 'patches']);
  await page.setInputFiles(byTest('search-files'), [join(folder, 'p.npy'), join(folder, 'p.npy.paths.txt')]);
  await waitFor(page, 'patches', () => /16 patches each/.test(document.querySelector('[data-testid="search-about"]').textContent));
  await page.locator(byTest('search-patch')).click();
  await waitFor(page, 'a patch', () => /reef\.jpg, patch \d+(1\.0000|0\.999)/.test(document.querySelector('[data-testid="search-hits"] li')?.textContent));

  // A hundred thousand rows: the time is shown. What is no file of embeddings is said.
  const rows = await page.evaluate(async () => {
    const [count, dim] = [100_000, 64];
    const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${dim}), }`.padEnd(117) + '\n';
    const head = new Uint8Array([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, header.length & 255, header.length >> 8, ...new TextEncoder().encode(header)]);
    const values = new Float32Array(count * dim).map((_, at) => Math.sin(at * 0.37) + 1e-3);
    const transfer = new DataTransfer();
    transfer.items.add(new File([head, values], 'many.npy'));
    const input = document.querySelector('[data-testid="search-files"]');
    input.files = transfer.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
    return count;
  });
  await waitFor(page, 'all of them', (rows) => document.querySelector('[data-testid="search-about"]').textContent.startsWith(`${rows} images`), { argument: rows });
  await page.locator(byTest('search-image')).click();
  await waitFor(page, 'twenty', () => document.querySelectorAll('[data-testid="search-hits"] li').length === 20);
  t.diagnostic(await page.locator(byTest('search-time')).textContent());
  await page.setInputFiles(byTest('search-files'), { name: 'x.npy', mimeType: '', buffer: Buffer.from('nonsense') });
  await waitFor(page, 'a sentence', () => /x\.npy cannot be searched/.test(document.querySelector('[role=alert]').textContent));
  check();
});

test('what a field of the room Probe cannot take is said, and the field shows what stands', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=probe' });
  await trained(page);
  await page.locator(`details:has(${byTest('probe-k')}) summary`).click();
  const name = byTest('class-name');
  for (const [field, typed, stands, word] of [
    [byTest('probe-k'), '0', '3', /k is a whole number from 1 to 1000\. It stays 3\./],
    [byTest('probe-k'), '', '3', /k is a whole number/],
    [byTest('probe-c'), '-1', '1', /C is a number above 0\. It stays 1\./],
    [name, ' ', 'cat', /A class has a name, and a name one class\. It stays cat\./],
    [name, 'fruit', 'cat', /A class has a name/],
  ]) {
    const input = page.locator(field).first();
    await input.fill(typed);
    await input.blur();
    await said(page, word);
    assert.equal(await input.inputValue(), stands);
    await page.locator('[role=alert] p button').click();
  }
  await page.locator(byTest('probe-k')).fill('5');
  await page.locator(byTest('probe-k')).blur();
  await waitFor(page, 'the address', () => /k=5/.test(location.hash));
  check();
});

test('a link holds the classes, and the answers are kept as CSV', { timeout: 120_000 }, async (t) => {
  const hash = '#room=probe&sample=reef&class1=wet%20%26%20blue:harbour,reef&class2=food:apples,lemons&class3=nothing:';
  const { page, context, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: hash });
  await trained(page);
  assert.equal(await address(page), hash);
  const groups = page.locator('[data-testid^="class-"][role="group"]');
  assert.deepEqual(await groups.evaluateAll((all) => all.map((group) => [group.querySelector('input').value, group.querySelectorAll('.strip li').length])), [['wet & blue', 2], ['food', 2], ['nothing', 0]]);
  await page.locator(byTest('ask-shown')).click();
  await waitFor(page, 'an answer', () => document.querySelectorAll('[data-testid="probe-answers"] li').length === 1);
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('answers-csv')).click()]);
  const lines = (await readFile(await download.path())).toString().trim().split('\n');
  assert.equal(lines[0], 'picture,classifier,answer,wet & blue,food');
  assert.match(lines[1], /^reef\.jpg,Linear,(wet & blue|food),[\d.]+,[\d.]+$/);
  assert.match(lines[2], /^reef\.jpg,k-NN,/);
  // To another room and back: the same classes, and a link to the room without any leaves them.
  await page.locator(byTest('room-see')).click();
  await page.locator(byTest('room-probe')).click();
  await trained(page);
  assert.equal(await address(page), hash);
  await page.evaluate(() => { location.hash = '#room=probe&sample=reef'; });
  await waitFor(page, 'the address', (hash) => location.hash === hash, { argument: hash });
  // A picture of one's own is in no link, and a link does not throw it away.
  const [mine] = await swatches(page, 'red', 1);
  await groups.nth(0).locator(byTest('class-files')).setInputFiles({ name: mine.name, mimeType: mine.type, buffer: mine.bytes });
  await waitFor(page, 'five pictures', () => /5 pictures asked/.test(document.querySelector('[data-testid="probe-result"]').textContent));
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator(byTest('copy-link')).click();
  await waitFor(page, 'what is missing', () => /Not in the link: your own pictures in the classes, the pictures that you asked about/.test(document.body.textContent));
  await page.evaluate(() => { location.hash = '#room=probe&class1=a:reef&class2=b:apples'; });
  await waitFor(page, 'the word', () => /pictures that no link can bring back/.test(document.querySelector('[role=alert]').textContent));
  assert.equal(await page.locator('.probe .class .strip li').count(), 5);
  check();
});
