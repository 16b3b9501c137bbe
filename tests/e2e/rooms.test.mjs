// The shell and the tours: rooms by their links, the back button, no complaint by axe, text that drives the views.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ONE_SAMPLE, WITHOUT_WEBGPU, openLab, waitFor } from './harness.mjs';
import { address, byTest, complaints, csv, frames, go, openRoom, reached, said, save, settled, still, trainLink } from './rooms.mjs';

test('rooms are links: the navigation says where one is, and back leads back', async (t) => {
  const { page } = await openRoom(t, '#sample=reef&patch=7&layer=1');
  // The keyboard alone: the first stop skips to the room, the next are the rooms.
  await page.keyboard.press('Tab');
  assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip/);
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'room');
  const here = () => page.locator('header nav a[aria-current="page"]').textContent();
  assert.equal(await here(), 'See');
  await page.locator(byTest('room-mask')).click();
  await still(page);
  assert.equal(await here(), 'Mask');
  assert.match(await page.title(), /^Mask – /);
  assert.match(await page.evaluate(() => location.hash), /room=mask&sample=reef/);
  await page.goBack();
  await still(page);
  assert.equal(await here(), 'See');
  assert.match(await page.evaluate(() => location.hash), /sample=reef&patch=7&layer=1/);
});

test('pictures go one by one by the keyboard, and without any the address still follows', async (t) => {
  const { page, check } = await openRoom(t, '#sample=reef&patch=7');
  await page.locator('.images .remove').first().focus();
  for (let left = 5; left > 0; left -= 1) {
    await page.keyboard.press('Enter');
    await waitFor(page, `${left} pictures, the keyboard on one`, (left) =>
      document.querySelectorAll('.images li').length === left && document.activeElement.matches('.images .remove'), { argument: left });
    await still(page);
    assert.ok(await page.evaluate(() => document.activeElement.matches('.images .remove')), `with ${left} the keyboard fell off`);
  }
  await page.keyboard.press('Enter');
  await waitFor(page, 'the room', () => document.activeElement.id === 'room');
  await waitFor(page, 'no sample in the address', () => location.hash.startsWith('#patch=7'));
  await page.locator(byTest('room-mask')).click();
  await waitFor(page, 'the room Mask', () => document.title.startsWith('Mask'));
  assert.match(await address(page), /^#room=mask&patch=7/);
  await page.locator(byTest('seed')).fill('5');
  await page.locator(byTest('seed')).blur();
  await waitFor(page, 'the seed', () => location.hash.endsWith('seed=5'));
  await page.goBack();
  await waitFor(page, 'the room See', () => document.title.startsWith('See') && location.hash.startsWith('#patch=7'));
  check();
});

test('a link that asks for a model elsewhere fetches nothing by itself', async (t) => {
  const { page, requests } = await openRoom(t, '#model=https://example.org/model/&weights=0123', ONE_SAMPLE);
  await waitFor(page, 'a word about it', () => /asks for the model at https:\/\/example\.org/.test(document.querySelector('[role=alert]').textContent));
  assert.equal(await page.locator(byTest('model-url')).inputValue(), 'https://example.org/model/');
  assert.deepEqual(requests.filter((url) => url.includes('example.org')), []);
  // The address goes on asking for it, through rooms too; one word for one cause.
  const keeps = async () => assert.match(await address(page), /model=https:\/\/example\.org\/model\/&weights=0123/);
  await keeps();
  await go(page, '#room=mask&tour=none&ratio=900&mask=garbage&seed=1&seed=%zz');
  await keeps();
  // What means nothing is told once, in one sentence.
  await said(page, /no room understands, or a key twice: tour=none, ratio=900, mask=garbage, seed=%zz\./);
  assert.equal(await page.locator('[role=alert] p').count(), 2, await page.locator('[role=alert]').textContent());
  await page.locator(byTest('built-in')).selectOption('untrained-mae');
  await waitFor(page, 'another model', () => /model=untrained-mae(?!.*0123)/.test(location.hash));
  assert.equal(await page.locator('[role=alert] p').count(), 2, await page.locator('[role=alert]').textContent());
});

/** Looks at the page at each width, once it stands. */
async function atWidths(page, widths, look, wait = still) {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 900 });
    await wait(page);
    await look(width);
  }
}

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing to complain about, ${colorScheme}`, { timeout: 300_000 }, async (t) => {
    const { page } = await openRoom(t, '#sample=reef&map=heads&basis=shared&foreground=0.5&compare=twin');
    await page.emulateMedia({ colorScheme });
    const found = {};
    // Colours are the same at every width; what overlaps, hides or scrolls is not.
    const widths = colorScheme === 'light' ? [1440, 1024, 390] : [1440];
    const look = (name, wait) => atWidths(page, widths, async (width) => { found[`${name} at ${width}`] = await complaints(page); }, wait);
    await waitFor(page, 'the second model', () => document.querySelector('[data-testid="other-similarity"]'));
    await still(page);
    await look('see');
    await go(page, '#room=mask');
    await look('mask');
    for (const tour of ['tokens', 'attention', 'mae', 'dino', 'scale', 'search']) {
      await go(page, `#room=learn&tour=${tour}`);
      await look(tour);
    }
    await go(page, '#room=probe');
    await waitFor(page, 'a probe', () => document.querySelector('[data-testid="probe-time"]'));
    await look('probe');
    // Its pictures never stand still.
    await page.evaluate(() => { location.hash = '#room=video'; });
    await frames(page);
    await look('video', frames);
    assert.deepEqual(Object.entries(found).filter(([, list]) => list.length > 0), []);
  });
}

for (const method of ['mae', 'dino']) {
  test(`axe finds nothing to complain about while ${method} trains`, async (t) => {
    const { page } = await openLab(t, { ...WITHOUT_WEBGPU, path: trainLink('cpu', method) });
    await reached(page, 1);
    assert.match(await page.evaluate(() => window.lab.debug.train.method), new RegExp(`^${method}`));
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      // Colours pass over into each other for a moment.
      await still(page);
      assert.deepEqual(await complaints(page), [], colorScheme);
    }
    await atWidths(page, [1024, 390], async (width) => assert.deepEqual(await complaints(page), [], `${width} wide`));
  });
}

test('the tours drive the views, and their numbers are those on the screen', { timeout: 300_000 }, async (t) => {
  const { page } = await openRoom(t, '#room=learn');
  assert.equal(await page.locator('.tours button').count(), 6);
  // A result before any click: pictures and a number.
  assert.match(await page.locator(byTest('live')).textContent(), /224 \/ 14\)² = 256 patches, each a token of 192/);

  await page.locator(byTest('tour-attention')).click();
  await still(page);
  assert.match(await page.locator(byTest('tour-untrained')).textContent(), /tiny has random weights/);
  const figure = page.locator(`figure:has(${byTest('view-attention')})`);
  assert.match(await figure.textContent(), /Attention from the class token, layer 3/);
  const peak = (await figure.textContent()).match(/Peak ([\d.]+ %)/)[1];
  assert.ok((await page.locator(byTest('live')).textContent()).includes(peak), `the formula does not say ${peak}`);
  await page.locator(byTest('next')).click();
  await still(page);
  assert.match(await figure.textContent(), /Attention from the patch in row 8, column 8, layer 0/);
  assert.match(await page.evaluate(() => location.hash), /tour=attention&step=2/);

  await page.locator(byTest('tour-mae')).click();
  await still(page);
  const before = await page.locator(byTest('live')).textContent();
  assert.match(before, /\|M\| = 48 of 64 patches, and L = \d/);
  await page.locator(byTest('ratio')).fill('25');
  await waitFor(page, 'the formula', () => /\|M\| = 16 of 64/.test(document.querySelector('[data-testid="live"]').textContent));

  await page.locator(byTest('tour-dino')).click();
  await waitFor(page, 'the verdict', () => /The answers tell/.test(document.querySelector('[data-testid="teacher-verdict"]')?.textContent));
  await page.locator(byTest('temperature')).fill('100');
  await page.locator(byTest('centred')).uncheck();
  await waitFor(page, 'a flat teacher', () => /nearly flat/.test(document.querySelector('[data-testid="teacher-verdict"]').textContent));
  assert.match(await page.evaluate(() => location.hash), /tour=dino&step=1&tau=100&centre=no/);
  const [head, ...lines] = csv((await save(page, page.locator(byTest('teacher-csv')))).text);
  assert.deepEqual(head, ['picture', 'apples', 'ginger-cat', 'grey-cat', 'harbour', 'lemons', 'reef']);
  assert.equal(lines.length, 6);
  const sums = lines.map((line) => line.slice(1).reduce((sum, share) => sum + Number(share), 0));
  assert.ok(sums.every((sum) => Math.abs(sum - 1) < 1e-9), 'an answer is no distribution');
  const { temperature, centred, pictures, answers, bits } = JSON.parse((await save(page, page.locator(byTest('teacher-json')))).text);
  assert.deepEqual([temperature, centred, pictures], [1, false, head.slice(1)]);
  assert.deepEqual(answers, lines.map((line) => line.slice(1).map(Number)));
  assert.ok(bits.told >= 0 && Math.abs(bits['of the mean answer'] - Math.log2(6)) < 0.1, `${JSON.stringify(bits)}`);

  // What the text is about stands beside it: the chart of reading, the second model.
  await go(page, '#room=learn&tour=scale&step=2');
  assert.equal(await page.locator(byTest('measure-1')).isChecked(), true);
  await go(page, '#room=learn&tour=search&step=3');
  await waitFor(page, 'the second model', () => /random twin of tiny/.test(document.querySelector('[data-testid="other-model"]')?.textContent));
  assert.equal(await page.locator(byTest('other-pca')).count(), 1);

  // The way into the real room, with the state of the step.
  await page.locator(byTest('tour-search')).click();
  await page.locator(byTest('next')).click();
  await page.locator(byTest('open-room')).click();
  await settled(page);
  assert.match(await page.evaluate(() => location.hash), /^#sample=ginger-cat&patch=101/);
  assert.equal(await page.locator('header nav a[aria-current="page"]').textContent(), 'See');
});

test('every step of every tour stands', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openRoom(t, '#room=learn');
  const steps = { tokens: 3, attention: 4, mae: 3, dino: 3, scale: 2, search: 3 };
  for (const [tour, count] of Object.entries(steps)) {
    for (let step = 1; step <= count; step += 1) {
      await go(page, `#room=learn&tour=${tour}&step=${step}`);
      assert.match(await page.locator('.step .where').textContent(), new RegExp(`step ${step} of ${count}`));
      assert.ok((await page.locator('.show figure').count()) > 0, `${tour} ${step} shows nothing`);
    }
  }
  check();
});

test('a link of a tour holds what the visitor changed', { timeout: 120_000 }, async (t) => {
  const hash = '#room=learn&sample=lemons&tour=mae&step=2&mask=00ff00ff3c3c0001';
  const { page } = await openRoom(t, hash);
  await waitFor(page, 'the mask', () => /^25 of 64/.test(document.querySelector('[data-testid="hidden-count"]')?.textContent));
  assert.equal(await page.evaluate(() => location.hash), hash);
  await page.locator(byTest('ratio')).fill('75');
  await still(page);
  // The step itself has another ratio, and the room's default stands in no link of its own.
  assert.match(await page.evaluate(() => location.hash), /tour=mae&step=2&ratio=-$/);
  await page.reload();
  await settled(page);
  assert.match(await page.locator(byTest('hidden-count')).textContent(), /^48 of 64/);
  await page.locator(byTest('next')).click();
  await still(page);
  assert.equal(await page.evaluate(() => location.hash), '#room=learn&sample=lemons&tour=mae&step=3');
  await go(page, '#room=learn&tour=dino&tau=33&centre=no');
  assert.deepEqual([await page.locator(byTest('temperature')).inputValue(), await page.locator(byTest('centred')).isChecked()], ['33', false]);
});

test('a model that a link in the open page names is loaded, as in a fresh one', { timeout: 120_000 }, async (t) => {
  const { page, requests } = await openRoom(t, '#sample=reef');
  await go(page, '#sample=reef&model=tiny-mae');
  await waitFor(page, 'the model', () => /tiny MAE \(1000 photographs\)/.test(document.querySelector('[data-testid="model-select"] strong').textContent));
  await still(page);
  const hash = await page.evaluate(() => location.hash);
  assert.match(hash, /^#sample=reef&model=tiny-mae/);
  // A link without one keeps it; other weights are told; one elsewhere is named and not fetched.
  await go(page, '#room=mask&sample=reef');
  assert.match(await page.evaluate(() => location.hash), /model=tiny-mae/);
  await go(page, '#sample=reef&model=tiny-mae&weights=0123');
  await waitFor(page, 'the word', () => /made with other weights \(fingerprint 0123\)/.test(document.querySelector('[role=alert]').textContent));
  await go(page, '#sample=reef&model=https://example.org/model/');
  await waitFor(page, 'a word about it', () => /asks for the model at https:\/\/example\.org/.test(document.querySelector('[role=alert]').textContent));
  assert.deepEqual(requests.filter((url) => url.includes('example.org')), []);
});

test('words and buttons keep a size that can be read and pressed', { timeout: 120_000 }, async (t) => {
  const { page } = await openRoom(t, '#room=learn&tour=scale', { viewport: { width: 390, height: 800 } });
  const text = await page.locator('.chart .tick').first().boundingBox();
  assert.ok(text.height >= 11, `axis words of ${text.height} pixels`);
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide[0] <= wide[1], `the page is ${wide[0]} wide`);
  await go(page, '#sample=reef');
  for (const box of await page.locator('.remove').evaluateAll((all) => all.map((button) => button.getBoundingClientRect().toJSON()))) {
    assert.ok(box.width >= 24 && box.height >= 24, `a button of ${box.width} by ${box.height}`);
  }
  const badge = await page.locator(byTest('untrained')).boundingBox();
  assert.ok(badge.height < 30, 'the badge breaks over two lines');
});
