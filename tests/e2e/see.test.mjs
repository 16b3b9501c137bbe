// The room See: links that hold their state, all heads, one basis for all, the same patch elsewhere, a second model,
// and files that can be kept.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { waitFor, WITHOUT_WEBGPU } from './harness.mjs';
import { address, byTest, cells, go, openRoom, said, still } from './rooms.mjs';

/** Everything that one sees in a room, as checksums. */
const everything = async (page, views) => Promise.all(views.map((view) => cells(page, view)));

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
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.equal(new Set(seen[0].flat()).size, views.length, 'two views show the same');
});

test('all heads, rollout and a chosen head are told apart, and the address follows', async (t) => {
  const { page } = await openRoom(t, '#sample=grey-cat');
  const [one] = await cells(page, 'view-attention');
  await page.locator(byTest('map-1')).check();
  await still(page);
  const heads = await cells(page, 'view-attention', 2, 2);
  assert.equal(new Set(heads.slice(0, 3)).size, 3, 'three heads, three maps');
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
  const { page, context } = await openRoom(t, '#sample=harbour&map=heads');
  const figure = page.locator(`figure:has(${byTest('view-attention')})`);
  await figure.locator('summary').click();
  const save = async (what) => {
    const [download] = await Promise.all([page.waitForEvent('download'), figure.locator(byTest(`save-${what}`)).click()]);
    return [download.suggestedFilename(), await readFile(await download.path())];
  };
  const [pngName, png] = await save('png');
  assert.match(pngName, /^harbour-attention-.*\.png$/);
  assert.deepEqual([...png.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  assert.ok(png.length > 2000, `a PNG of ${png.length} bytes is blank`);
  const [, csv] = await save('csv');
  const lines = csv.toString().trim().split('\n');
  assert.equal(lines[0], 'row,column,head 0,head 1,head 2');
  assert.equal(lines.length, 257);
  assert.ok(lines.slice(1).every((line) => line.split(',').every((cell) => Number.isFinite(Number(cell)))));
  const json = JSON.parse((await save('json'))[1]);
  assert.deepEqual([json.grid, json.channels.length, json.channels[0].values.length], [[16, 16], 3, 256]);
  assert.equal(json.model.untrained, true);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator(byTest('copy-link')).click();
  await waitFor(page, 'the word', () => /Copied/.test(document.body.textContent));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), page.url());
});

test('what a link asks for and the model does not have is dropped with a word', async (t) => {
  const { page } = await openRoom(t, '#sample=reef&patch=99999&layer=77&head=66');
  await said(page, /patch 99999; here they go from 0 to 255/);
  await said(page, /layer 77; this model's go from 0 to 3/);
  await said(page, /head 66; this model's go from 0 to 2/);
  assert.equal(await address(page), '#sample=reef');
  // In the open page as well.
  await go(page, '#sample=reef&patch=77&layer=78');
  await said(page, /layer 78/);
  assert.equal(await address(page), '#sample=reef&patch=77');
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
  await page.evaluate(() => { location.hash = '#room=video'; });
  await waitFor(page, 'the sentence in Video', () => document.querySelectorAll('.video .frame .empty').length >= 3);
});

test('the copied word says what is not in the link', async (t) => {
  const { page, context } = await openRoom(t, '#sample=reef');
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
    const { page, requests } = await openRoom(t, `#sample=reef&compare=${key}`, { allow: WITHOUT_WEBGPU.allow });
    await said(page, words);
    assert.deepEqual(requests.filter((url) => /example\.org|Org\/Repo|weights\/files/.test(url)), []);
    if (key !== 'files') assert.equal(await page.locator(byTest('compare-url')).inputValue(), key);
  }
});
