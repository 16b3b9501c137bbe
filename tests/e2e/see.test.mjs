// The room See: links that hold their state, all heads, one basis for all, the same patch elsewhere, a second model,
// and files that can be kept.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ONE_SAMPLE, openLab, waitFor, WITHOUT_WEBGPU } from './harness.mjs';
import { address, byTest, cells, go, openRoom, pressed, reached, said, saved, settled, still, told, trainLink } from './rooms.mjs';

/** Everything that one sees in a room, as checksums. */
const everything = async (page, views) => Promise.all(views.map((view) => cells(page, view)));

/** Each map of the second model stands beside the first one's, as large; on a phone right below it. */
async function sideBySide(page) {
  for (const width of [1440, 1024, 390]) {
    await page.setViewportSize({ width, height: 900 });
    for (const view of ['attention', 'pca', 'similarity']) {
      const [first, second] = await Promise.all([`view-${view}`, `other-${view}`].map((name) => page.locator(byTest(name)).boundingBox()));
      const where = `${view} at ${width}: ${JSON.stringify([first, second])}`;
      assert.ok(Math.abs(first.width - second.width) < 1, where);
      if (width > 390) assert.ok(Math.abs(first.y - second.y) < 1 && second.x > first.x + first.width, where);
      else assert.ok(second.x === first.x && second.y > first.y + first.height && second.y < first.y + first.height + 350, where);
    }
  }
}

test('a link of the room See opened twice gives the same pixels', async (t) => {
  const hash = '#sample=reef&patch=40&layer=2&query=patch&map=heads&basis=shared&foreground=0.4&compare=twin&seed=5';
  const views = ['view-input', 'view-attention', 'view-pca', 'view-similarity', 'other-attention', 'other-pca', 'other-similarity'];
  const seen = [];
  for (let time = 0; time < 2; time += 1) {
    const { page } = await openRoom(t, hash);
    await waitFor(page, 'the second model', () => document.querySelector('[data-testid="other-similarity"]'));
    await still(page);
    assert.equal(await page.evaluate(() => location.hash), `#sample=reef&patch=40&layer=2&query=patch&map=heads&basis=shared&foreground=0.4&compare=twin&seed=5`);
    seen.push(await everything(page, views));
    if (time > 0) await sideBySide(page);
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.equal(new Set(seen[0].flat()).size, views.length, 'two views show the same');
});

test('all heads, rollout and a chosen head are told apart, and the address follows', async (t) => {
  const { page } = await openRoom(t, '#sample=grey-cat', ONE_SAMPLE);
  const [one] = await cells(page, 'view-attention');
  await page.locator(byTest('map-1')).check();
  await still(page);
  const heads = await cells(page, 'view-attention', 1, 3);
  assert.equal(new Set(heads).size, 3, 'three heads, three maps');
  await page.locator(byTest('head-1')).click();
  assert.match(await page.locator(byTest('head-1')).getAttribute('aria-label'), /Head 1: .* on patches, peak .* entropy/);
  await page.locator(byTest('map-2')).check();
  await still(page);
  const [rollout] = await cells(page, 'view-attention');
  assert.notEqual(rollout, one);
  const hash = await page.evaluate(() => location.hash);
  for (const part of ['map=rollout', 'head=1']) assert.ok(hash.includes(part), `${part} not in ${hash}`);
});

test('one basis colours all pictures, and its foreground can be cut out', async (t) => {
  const { page } = await openRoom(t, '#sample=lemons');
  const [own] = await cells(page, 'view-pca');
  await page.locator(byTest('basis-1')).check();
  await waitFor(page, 'the fit', () => /fitted on 6 pictures/.test(document.body.textContent));
  await still(page);
  const [shared] = await cells(page, 'view-pca');
  assert.notEqual(shared, own);
  await page.locator(byTest('foreground')).check();
  await still(page);
  const [cut] = await cells(page, 'view-pca');
  assert.notEqual(cut, shared);
  await page.locator(byTest('threshold')).fill('0.8');
  await still(page);
  assert.notEqual((await cells(page, 'view-pca'))[0], cut);
  assert.match(await page.evaluate(() => location.hash), /basis=shared.*foreground=0.8/);
  // There and back again: the basis stays.
  await page.locator(byTest('foreground')).uncheck();
  await go(page, '#sample=apples&basis=shared');
  await go(page, '#sample=lemons&basis=shared');
  assert.equal((await cells(page, 'view-pca'))[0], shared);
});

test('components are coloured without red against green where one wishes, in every room and by a link', { timeout: 120_000 }, async (t) => {
  const { page } = await openRoom(t, '#sample=lemons');
  const [[plain], [attention]] = await everything(page, ['view-pca', 'view-attention']);
  const figure = page.locator(`figure:has(${byTest('view-pca')})`);
  assert.match(await figure.textContent(), /First three principal components of the patch tokens as red, green and blue/);
  await page.locator(byTest('palette-1')).check();
  await waitFor(page, 'the link', () => location.hash === '#sample=lemons&palette=safe');
  await still(page);
  const [[safe], [same]] = await everything(page, ['view-pca', 'view-attention']);
  assert.deepEqual([safe === plain, same], [false, attention]);
  assert.match(await figure.textContent(), /First two principal components of the patch tokens as dark to light and blue to yellow/);
  // Red and green go together everywhere; of red, green and blue they do not.
  const widest = (view) => page.evaluate((selector) => {
    const shown = document.querySelector(`${selector} canvas`);
    const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d');
    copy.drawImage(shown, 0, 0);
    const { data } = copy.getImageData(0, 0, shown.width, shown.height);
    let most = 0;
    for (let at = 0; at < data.length; at += 4) most = Math.max(most, Math.abs(data[at] - data[at + 1]));
    return most;
  }, byTest(view));
  assert.ok((await widest('view-pca')) < 45);
  await page.evaluate(() => { location.hash = '#room=video&sample=lemons&play=no&palette=safe'; });
  await waitFor(page, 'the frame', () => document.querySelector('[data-testid="video-components"] canvas')?.width > 0);
  await page.waitForTimeout(1000);
  assert.ok((await widest('video-components')) < 45);
  await page.locator(byTest('palette-0')).check();
  await page.waitForTimeout(1000);
  assert.ok((await widest('video-components')) > 90);
  await page.goto(page.url().replace(/#.*/, '#sample=lemons&palette=safe'));
  await page.reload({ waitUntil: 'load' });
  await settled(page);
  assert.deepEqual(await cells(page, 'view-pca'), [safe]);
});

test('the same patch is looked for in other pictures', async (t) => {
  const { page } = await openRoom(t, '#sample=ginger-cat&patch=100');
  const strip = page.locator(byTest('strip-image'));
  assert.equal(await strip.count(), 5);
  await strip.first().click();
  await still(page);
  assert.match(await page.evaluate(() => location.hash), /from=ginger-cat&from-patch=100/);
  assert.match(await page.locator(`figure:has(${byTest('view-similarity')})`).textContent(), /of ginger-cat\.jpg/);
  await page.locator(byTest('unpin')).click();
  await still(page);
  assert.doesNotMatch(await page.evaluate(() => location.hash), /from=/);
});

test('a picture, its numbers and its link can be kept', async (t) => {
  const { page, context } = await openRoom(t, '#sample=harbour&map=heads', ONE_SAMPLE);
  const figure = page.locator(`figure:has(${byTest('view-attention')})`);
  await figure.locator('summary').click();
  const png = await pressed(page, figure.locator(byTest('save-png')));
  assert.match(png.name, /^harbour-attention-.*-tiny\.png$/);
  assert.deepEqual([...png.bytes.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  assert.ok(png.bytes.length > 2000, `a PNG of ${png.bytes.length} bytes is blank`);
  // With its words around it: title and model above, scale and caption below.
  const similarity = page.locator(`figure:has(${byTest('view-similarity')})`);
  await similarity.locator('summary').click();
  const size = ({ bytes }) => [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const [bare, plate] = [await pressed(page, similarity.locator(byTest('save-png'))), await pressed(page, similarity.locator(byTest('save-plate')))];
  assert.match(plate.name, /^harbour-.*-tiny\.figure\.png$/);
  const [[width, height], [around, over]] = [size(bare), size(plate)];
  const picture = Math.max(width, 640);
  assert.ok(around === picture + 48 && over > (picture * height) / width + 150, `${around} × ${over} around ${width} × ${height}`);
  const { csv: lines, json } = await saved(page, figure);
  assert.equal(lines[0], 'row,column,head 0,head 1,head 2');
  assert.equal(lines.length, 257);
  assert.ok(lines.slice(1).every((line) => line.split(',').every((cell) => Number.isFinite(Number(cell)))));
  assert.deepEqual([json.grid, json.channels.length, json.channels[0].values.length], [[16, 16], 3, 256]);
  assert.equal(json.model.untrained, true);
  // The picture itself has no numbers.
  const input = page.locator(`figure:has(${byTest('view-input')})`);
  await input.locator('summary').click();
  assert.equal((await pressed(page, input.locator(byTest('save-png')))).name, 'harbour-picture.png');
  assert.equal(await input.locator(byTest('save-csv')).count(), 0);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator(byTest('copy-link')).click();
  await waitFor(page, 'the word', () => /Copied/.test(document.body.textContent));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), page.url());
});

test('the numbers that leave are those on the screen, and say whose they are', async (t) => {
  const { page } = await openRoom(t, '#sample=reef&patch=40&query=patch&layer=2&compare=twin', ONE_SAMPLE);
  await waitFor(page, 'the second model', () => document.querySelector('[data-testid="other-pca"]'));
  await still(page);
  const figure = (view) => page.locator(`figure:has(${byTest(view)})`);
  const of = async (view) => {
    const found = await saved(page, figure(view));
    const planes = found.json.channels.map(({ values }) => values);
    // Both files hold the same: rows and columns count from 1.
    found.csv.slice(1).forEach((line, patch) => {
      const [row, column, ...values] = line.split(',').map(Number);
      assert.deepEqual([row, column], [Math.floor(patch / 16) + 1, (patch % 16) + 1]);
      values.forEach((value, channel) => assert.equal(Math.fround(planes[channel][patch]), Math.fround(value)));
    });
    return { ...found.json, planes, words: await figure(view).locator('figcaption').textContent() };
  };
  const attention = await of('view-attention');
  assert.deepEqual(attention.view, { show: 'attention', layer: 2, head: null, query: { token: 'patch', index: 40 } });
  const peak = Math.max(...attention.planes[0]);
  const at = attention.planes[0].indexOf(peak);
  assert.ok(attention.words.includes(`at row ${Math.floor(at / 16) + 1}, column ${(at % 16) + 1}.`), attention.words);
  assert.ok(Math.abs(100 * peak - Number(/Peak ([\d.]+) %/.exec(attention.words)[1])) < 0.06, attention.words);
  // The line under the map follows the chosen patch, and a pointer on any of the pictures.
  const line = figure('view-attention').locator('.reading');
  const read = async (row, column, patch) => {
    const [, value] = new RegExp(`^At row ${row}, column ${column}: ([\\d.]+) %$`).exec(await line.textContent()) ?? [];
    assert.ok(Math.abs(100 * attention.planes[0][patch] - Number(value)) < 0.06, await line.textContent());
  };
  await read(3, 9, 40);
  const { width, height } = await page.locator(byTest('view-pca')).boundingBox();
  await page.locator(byTest('view-pca')).hover({ position: { x: (2.5 * width) / 16, y: (1.5 * height) / 16 } });
  await waitFor(page, 'the line', () => /row 2, column 3/.test(document.querySelector('figure:has([data-testid="view-attention"]) .reading').textContent));
  await read(2, 3, 18);
  const similarity = await of('view-similarity');
  assert.deepEqual(similarity.view, { show: 'similarity', from: 'reef.jpg', patch: 40 });
  assert.ok(Math.abs(similarity.planes[0][40] - 1) < 1e-5, 'a patch is like itself');
  const range = /From (-?[\d.]+) to (-?[\d.]+)\./.exec(similarity.words).slice(1).map(Number);
  [Math.min(...similarity.planes[0]), Math.max(...similarity.planes[0])].forEach((end, which) => assert.ok(Math.abs(end - range[which]) < 0.006));
  // The three components are the colours, each from its least to its largest.
  const colours = await page.evaluate((selector) => {
    const shown = document.querySelector(`${selector} canvas`);
    const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d');
    copy.drawImage(shown, 0, 0);
    const cell = shown.width / 16;
    return Array.from({ length: 256 }, (_, patch) => [...copy.getImageData((patch % 16 + 0.5) * cell, (Math.floor(patch / 16) + 0.5) * cell, 1, 1).data]);
  }, byTest('view-pca'));
  const pca = await of('view-pca');
  pca.planes.forEach((plane, channel) => {
    const [low, high] = [Math.min(...plane), Math.max(...plane)];
    plane.forEach((value, patch) => assert.ok(Math.abs((255 * (value - low)) / (high - low) - colours[patch][channel]) < 1.01, `patch ${patch}`));
  });
  const other = await of('other-pca');
  assert.deepEqual([pca.model.name, /twin|random/i.test(other.model.name)], ['tiny', true], other.model.name);
  assert.notDeepEqual(other.planes, pca.planes);
});

test('two steps of a run are kept once each and stand side by side, after a reload too', { timeout: 300_000 }, async (t) => {
  const small = ['optim.base_lr=5e-3', 'crops.global_size=32', 'crops.local_size=16'];
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: trainLink('cpu', 'dino', ...small) });
  await reached(page, 1);
  const kept = page.locator(`${byTest('stored')} li`);
  const keep = async (step) => {
    await page.locator(byTest('keep-network')).click();
    await told(page, new RegExp(`“DINO run, step ${step}” is kept in this browser: load it under “Kept models”.*See.*Compare`));
  };
  for (const step of [2, 3, 4]) {
    await page.locator(byTest('step')).click();
    await reached(page, step);
    if (step !== 3) await keep(step);
  }
  await page.locator(`${byTest('done')} button`).first().click();
  await keep(4);
  await waitFor(page, 'two networks', () => document.querySelectorAll('[data-testid="stored"] li').length === 2);
  assert.match(await page.locator(byTest('kept-DINO run, step 2')).textContent(), /KB · kept since .*SHA-256 [0-9a-f]{12}…/);

  await page.locator(byTest('room-see')).click();
  await page.locator(byTest('kept-DINO run, step 2')).getByText('Load').click();
  await waitFor(page, 'the first network', () => /run, step 2/.test(document.querySelector('[data-testid="model-select"] strong').textContent));
  await page.locator(byTest('compare')).selectOption({ label: 'DINO run, step 4 (kept)' });
  const pairs = ['attention', 'pca', 'similarity'].map((view) => [`view-${view}`, `other-${view}`]);
  const beside = async () => {
    await waitFor(page, 'the second network', () => /run, step 4/.test(document.querySelector('[data-testid="other-model"]')?.textContent));
    await settled(page);
    return Promise.all(pairs.map((pair) => everything(page, pair)));
  };
  const seen = await beside();
  for (const [[first], [second]] of seen) assert.notEqual(first, second);
  // One cursor for both.
  assert.equal(await page.locator('.mark').count() > 1, true);
  const hash = await address(page);
  assert.match(hash, /model=kept:[0-9a-f]{16}&weights=[0-9a-f]{16}.*&compare=kept:[0-9a-f]{16}/);
  check();
  await page.reload({ waitUntil: 'load' });
  assert.deepEqual(await beside(), seen);
  assert.equal(await address(page), hash);

  // Elsewhere they are not kept: a sentence each, and the page works on.
  await page.locator(byTest('kept-DINO run, step 4')).getByText('Delete').click();
  await page.locator(byTest('delete-sure')).click();
  await waitFor(page, 'one network', () => document.querySelectorAll('[data-testid="stored"] li').length === 1);
  assert.equal(await kept.count(), 1);
  const { page: elsewhere } = await openRoom(t, hash);
  const [, first, second] = /model=kept:(\w+).*compare=kept:(\w+)/.exec(hash);
  await said(elsewhere, new RegExp(`This browser keeps no model ${first}: it was kept in another one, or deleted; keep it again`));
  await said(elsewhere, new RegExp(`This browser keeps no model ${second}`));
  await still(elsewhere);
});

test('what a link asks for and the model does not have is dropped with a word', async (t) => {
  const { page } = await openRoom(t, '#sample=reef&patch=99999&layer=77&head=66', ONE_SAMPLE);
  await said(page, /patch 99999; here they go from 0 to 255/);
  await said(page, /layer 77; this model's go from 0 to 3/);
  await said(page, /head 66; this model's go from 0 to 2/);
  assert.equal(await address(page), '#sample=reef');
  // In the open page as well.
  await go(page, '#sample=reef&patch=77&layer=78');
  await said(page, /layer 78/);
  assert.equal(await address(page), '#sample=reef&patch=77');
});

test('a sample that is not there is said, and another picture is shown', async (t) => {
  const { page } = await openRoom(t, '#sample=../reef&patch=7', ONE_SAMPLE);
  await said(page, /asks for the sample “\.\.\/reef”, which is none of ginger-cat, .*: another picture is shown/);
  assert.equal(await address(page), '#sample=ginger-cat&patch=7');
  await go(page, '#sample=sunset&patch=7');
  await said(page, /asks for the sample “sunset”/);
  assert.equal(await address(page), '#sample=ginger-cat&patch=7');
});

test('without a picture every view says what to do and waits for nothing', async (t) => {
  const { page } = await openRoom(t, '#sample=reef');
  while (await page.locator(`${byTest('nearest')} .remove`).count()) await page.locator(`${byTest('nearest')} .remove`).first().click({ force: true });
  const frames = () => page.evaluate(() => [...document.querySelectorAll('.frame')].map((frame) => [frame.getAttribute('aria-busy'), frame.textContent]));
  await waitFor(page, 'the sentence', () => document.querySelectorAll('.frame .empty').length >= 4);
  for (const [busy, words] of await frames()) {
    assert.notEqual(busy, 'true');
    assert.match(words, /There is no picture\. Choose one/);
  }
  // No numbers of the picture that is gone.
  for (const words of await page.locator('figcaption').allTextContents()) assert.equal(words.trim(), '');
  await page.evaluate(() => { location.hash = '#room=video'; });
  await waitFor(page, 'the sentence in Video', () => document.querySelectorAll('.video .frame .empty').length >= 3);
});

test('the copied word says what is not in the link', async (t) => {
  const { page, context } = await openRoom(t, '#sample=reef', ONE_SAMPLE);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = async () => {
    await page.locator(byTest('copy-link')).click();
    await waitFor(page, 'the word', () => /Copied/.test(document.querySelector('.copy').textContent));
    return page.locator('.copy [role=status]').textContent();
  };
  assert.match(await copied(), /whole state/);
  const bytes = await readFile(new URL('../../public/samples/apples.jpg', import.meta.url));
  await page.setInputFiles(byTest('file-input'), { name: 'mine.jpg', mimeType: 'image/jpeg', buffer: bytes });
  await waitFor(page, 'my picture', () => window.lab.debug.images['mine.jpg']);
  await still(page);
  assert.equal(await copied(), 'Copied. Not in the link: your own pictures.');
  await page.locator(byTest('pin')).click();
  assert.equal(await copied(), 'Copied. Not in the link: your own pictures, the patch kept from your own picture.');
});

test('a second model elsewhere is named and not fetched, and files are no folder of ours', async (t) => {
  for (const [key, words] of [['https://example.org/model/', /asks for a second model at https:\/\/example\.org/], ['Org/Repo', /asks for a second model at Org\/Repo/], ['files', /second model from somebody's files/]]) {
    const { page, requests } = await openRoom(t, `#sample=reef&compare=${key}`, { ...ONE_SAMPLE, allow: WITHOUT_WEBGPU.allow });
    await said(page, words);
    assert.deepEqual(requests.filter((url) => /example\.org|Org\/Repo|weights\/files/.test(url)), []);
    if (key !== 'files') assert.equal(await page.locator(byTest('compare-url')).inputValue(), key);
  }
});

test('where a model takes pictures as they are, each has a patch grid of its own', async (t) => {
  const { page, check } = await openRoom(t, '', ONE_SAMPLE);
  const golden = async (name) => ({ name, mimeType: '', buffer: await readFile(new URL(`../golden/models/dinov2-mlp/${name}`, import.meta.url)) });
  // The short side to 28 pixels, four patches of seven, and no crop.
  const recipe = { image_processor_type: 'BitImageProcessor', do_center_crop: false, size: { shortest_edge: 28 } };
  await page.setInputFiles(byTest('model-files'), [
    await golden('config.json'), await golden('model.safetensors'),
    { name: 'preprocessor_config.json', mimeType: '', buffer: Buffer.from(JSON.stringify(recipe)) },
  ]);
  await waitFor(page, 'the model', () => /64 wide/.test(document.querySelector('[data-testid="model-select"]').textContent));
  for (const [name, width, height] of [['wide.png', 80, 40], ['tall.png', 40, 80]]) {
    const bytes = await page.evaluate(async ([width, height]) => {
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext('2d').fillRect(3, 3, 20, 20);
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    }, [width, height]);
    await page.setInputFiles(byTest('file-input'), { name, mimeType: 'image/png', buffer: Buffer.from(bytes) });
    await waitFor(page, name, (name) => window.lab.debug.images[name], { argument: name });
  }
  const show = async (name) => {
    await page.locator('.images .thumbnail', { hasText: name }).click();
    await still(page);
    return page.locator('figure.input figcaption').textContent();
  };
  assert.match(await show('wide.png'), /^4 × 8 patches/);
  for (const key of ['ArrowUp', 'ArrowUp', 'End']) await page.locator(byTest('patch-grid')).press(key);
  await page.locator(byTest('pin')).click();
  // The chosen patch stays where it is on the picture, the kept one on its own picture.
  assert.equal(await show('tall.png'), '8 × 4 patches. Chosen: row 2, column 4.');
  assert.match(await page.locator(`div:has(> ${byTest('unpin')})`).textContent(), /row 1, column 8 of wide\.png/);
  assert.match(await show('ginger-cat.jpg'), /^4 × 4 patches/);
  assert.equal(await show('wide.png'), '4 × 8 patches. Chosen: row 1, column 8.');
  assert.equal((await page.locator('[role=alert]').textContent()).trim(), '');
  check();
});
