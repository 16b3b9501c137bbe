// The room Train as people use it: it learns, it goes on after a reload and after a lost device, it collapses and comes
// back, its files leave and return. Models are tiny, so that a step takes some tens of milliseconds.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ONE_SAMPLE, ONE_SAMPLE_ON_CPU, openLab, tasks, waitFor } from './harness.mjs';
import { byTest, complaints, csv, reached, save, trainLink, trainTo, where } from './rooms.mjs';

const address = (method, ...more) => trainLink('cpu', method, ...more);

test('twenty steps lower the loss, and after a reload the same run goes on', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('mae') });
  // A result before any click: one step in slow motion, and pictures.
  await reached(page, 1);
  await waitFor(page, 'pictures', () => document.querySelectorAll('[data-testid=looks] img').length === 18);
  assert.equal(await page.locator(byTest('stage-4')).count(), 1, 'MAE has five stages');
  const first = (await where(page)).loss;
  const stopped = await trainTo(page, 24);
  const losses = await page.evaluate(() => [...window.lab.debug.train.losses]);
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  assert.ok(mean(losses.slice(-5)) < 0.9 * first, `from ${first} to ${losses.slice(-5)}`);
  assert.match(await page.locator(byTest('saved')).textContent(), /Saved in this browser/);
  check();

  await page.reload({ waitUntil: 'load' });
  await reached(page, stopped.step);
  const found = await where(page);
  assert.deepEqual([found.step, found.loss, found.method], [stopped.step, stopped.loss, 'mae']);
  assert.deepEqual(await page.evaluate(() => [...window.lab.debug.train.losses]), losses, 'the curve came along');
  // It goes on as it would have.
  await page.locator(byTest('step')).click();
  await reached(page, stopped.step + 1);

  // Left while it goes, it goes on from its last save, seconds ago at most, and says how far it had come.
  await page.evaluate(() => {
    window.saves = new Set();
    setInterval(() => window.saves.add(window.lab.debug.train.saved), 20);
  });
  await page.locator(byTest('play')).click();
  await waitFor(page, 'two saves on its way', () => window.saves.size > 2, { timeout: 12_000 });
  const left = await where(page);
  await page.reload({ waitUntil: 'load' });
  await reached(page, left.saved);
  await waitFor(page, 'a word', () => document.querySelector('[data-testid=found]'));
  const { step } = await where(page);
  const [from, had] = (await page.locator(byTest('found')).textContent()).match(/step \d+/g).map((word) => Number(word.slice(5)));
  assert.ok(from === step && step >= left.saved && (had ?? step) >= left.step, `left at ${JSON.stringify(left)}, found at ${step} of ${had}`);
  check();
});

test('without centring and sharpening, and without EMA, it collapses, and going back heals it', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('dino', 'optim.base_lr=2e-3') });
  await reached(page, 1);
  const before = await trainTo(page, 60);
  assert.notEqual(before.verdict, 'Collapsing');
  // The published DINO that collapses without its moving average has no KoLeo.
  for (const off of [['centring', 'sharpening'], ['ema', 'koleo']]) {
    assert.equal(await page.locator(byTest('since')).count(), 0, 'nothing has happened yet');
    for (const name of off) {
      await page.locator(byTest(`switch-${name}`)).click();
      await waitFor(page, `${name} to be off`, (name) =>
        document.querySelector(`[data-testid=switch-${name}]`).getAttribute('aria-checked') === 'false', { argument: name });
    }
    // Without its moving average the run goes in circles, and seems well for moments: it is stopped in another.
    for (let least = before.step + 60; !(await page.locator(byTest('alarm')).count()); least = (await where(page)).step + 10) {
      await page.locator(byTest('play')).click();
      await waitFor(page, 'the collapse', (step) => window.lab.debug.train.verdict === 'Collapsing' && window.lab.debug.train.step >= step, { argument: least });
      await page.locator(byTest('play')).click();
      await waitFor(page, 'it to stand still', () => !document.querySelector('[data-testid=step]').disabled);
    }
    assert.match(await page.locator(byTest('verdict')).textContent(), /Collapsed/);
    assert.match(await page.locator(byTest('says')).textContent(), /every image|one prototype/);
    // What became of it, against the moment that was kept.
    const [head, ...rows] = await page.locator(`${byTest('since')} tr`).evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    assert.deepEqual(head.slice(1), [`step ${before.step}`, 'now']);
    const figures = Object.fromEntries(rows.map(([name, then, now]) => [name, [then, now].map(Number)]));
    assert.deepEqual(Object.keys(figures), ['entropy', 'information', 'KL', 'RankMe']);
    assert.ok(figures.information[1] < 0.5 * figures.information[0], JSON.stringify(figures));
    await page.waitForTimeout(500);
    await page.locator(byTest('back')).click();
    await waitFor(page, 'the kept moment', (step) => window.lab.debug.train.step === step, { argument: before.step });
    await waitFor(page, 'health', () => window.lab.debug.train.verdict !== 'Collapsing');
    for (const name of off) assert.equal(await page.locator(byTest(`switch-${name}`)).getAttribute('aria-checked'), 'true');
  }
  check();
});

test('a lost device is replaced, and the run goes on', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('mae', 'train.seed=3') });
  await reached(page, 1);
  const stopped = await trainTo(page, 6);
  await page.locator(byTest('play')).click();
  await reached(page, stopped.step + 2);
  await page.evaluate(() => window.lab.debug.loseDevice());
  await waitFor(page, 'the loss to be noticed', () => window.lab.debug.losses === 1);
  await waitFor(page, 'a word about it', () => /new engine starts by itself/.test(document.querySelector('[role=alert]').textContent));
  await waitFor(page, 'where it goes on', () => /run goes on/.test(document.querySelector('[role=alert]').textContent));
  // It plays on by itself.
  await reached(page, stopped.step + 6);
  assert.match(await page.locator(byTest('engine-status')).textContent(), /CPU engine/);
  await waitFor(page, 'the images of the room See', () => window.lab.debug.images?.['ginger-cat.jpg']);
  check();
});

test('both engines make the same steps', { timeout: 600_000 }, async (t) => {
  const tiny = ['model.depth=1', 'train.batch_size=4', 'crops.global_size=16', 'crops.local_size=8'];
  for (const method of ['mae', 'dino']) {
    const losses = {};
    for (const [engine, options] of [['cpu', ONE_SAMPLE_ON_CPU], ['gpu', ONE_SAMPLE]]) {
      const { page, check } = await openLab(t, { ...options, path: trainLink(engine, method, ...tiny) });
      await reached(page, 1);
      for (const step of [2, 3]) {
        await page.locator(byTest('step')).click();
        await reached(page, step);
      }
      assert.match(await page.locator(byTest('engine-status')).textContent(), engine === 'gpu' ? /GPU engine/ : /CPU engine/);
      losses[engine] = await page.evaluate(() => [...window.lab.debug.train.losses]);
      check();
    }
    assert.equal(losses.gpu.length, losses.cpu.length);
    // Three steps of f32, summed in different orders: differences grow with each step's rounding.
    losses.gpu.forEach((loss, step) => assert.ok(Math.abs(loss - losses.cpu[step]) < 1e-3 * losses.cpu[step], `${method}: ${JSON.stringify(losses)}`));
  }
});

test('a run leaves as a file and comes back; its model opens in See', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('dino') });
  await reached(page, 1);
  const stopped = await trainTo(page, 4);
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('download-run')).click()]);
  assert.match(download.suggestedFilename(), /^dino-step-\d+\.safetensors$/);
  const bytes = await readFile(await download.path());
  assert.ok(bytes.subarray(8, 4096).includes('lab.config'), 'the header holds the configuration');
  await page.evaluate(() => {
    window.steps = new Set();
    setInterval(() => window.steps.add(window.lab.debug.train.step), 5);
  });
  await page.locator(byTest('forget')).click();
  // Picked while the new run still begins: it waits for its turn.
  await page.setInputFiles(byTest('open-run'), { name: 'mine.safetensors', mimeType: '', buffer: bytes });
  await waitFor(page, 'a new run', () => window.steps.has(1));
  await waitFor(page, 'the old run', (step) => window.lab.debug.train.step === step, { argument: stopped.step });
  assert.equal((await where(page)).loss, stopped.loss);
  await page.locator(byTest('open-in-see')).click();
  // There it is, by the name of its run; the way back leads to the run.
  await waitFor(page, 'the model in See', (step) => new RegExp(`DINO run, step ${step}.*32 wide`).test(document.querySelector('[data-testid=model-select]').textContent), { argument: stopped.step });
  assert.equal(await page.locator(byTest('room-see')).getAttribute('aria-current'), 'page');
  await page.goBack();
  await waitFor(page, 'the run', () => document.querySelector('[data-testid=room-train]').getAttribute('aria-current') === 'page');
  check();
  await page.setInputFiles(byTest('open-run'), { name: 'broken.safetensors', mimeType: '', buffer: bytes.subarray(0, bytes.length - 9) });
  await waitFor(page, 'a sentence', () => /broken\.safetensors/.test(document.querySelector('[role=alert]').textContent));
  assert.equal((await where(page)).step, stopped.step, 'the run stays');
});

test('views get their turn while it trains, and the page stays quick', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('mae') });
  await reached(page, 1);
  await waitFor(page, 'the images', () => window.lab.debug.images?.['ginger-cat.jpg']);
  const [longest] = await tasks(page, async () => {
    await page.locator(byTest('play')).click();
    await reached(page, 25);
  });
  t.diagnostic(`the longest task while it trains computed for ${longest.cpu.toFixed(0)} ms, and took ${longest.wall.toFixed(0)}`);
  assert.ok(longest.cpu < 50, `a task of ${longest.cpu.toFixed(0)} ms`);
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'a drawn view', () =>
    document.querySelector('[data-testid=view-pca]')?.closest('figure')?.querySelector('.time')?.textContent.includes('ms'));
  const { step } = await where(page);
  await reached(page, step + 3);
  assert.equal(await page.locator(`${byTest('room-train')} ${byTest('runs')}`).count(), 1, 'a sign that it goes on');
  check();
});

test('where no run could begin it says why, and correct settings begin one', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('mae', 'optim.base_rl=1') });
  await waitFor(page, 'a sentence', () => /did you mean optim\.base_lr/.test(document.querySelector('[role=alert]').textContent));
  await waitFor(page, 'the reason where the run would stand', () =>
    /^No run could begin: .*did you mean optim\.base_lr.*press “Begin anew”/.test(document.querySelector('[data-testid=standing]').textContent));
  assert.ok(await page.locator(byTest('settings')).isVisible(), 'the settings lie open');
  assert.deepEqual(await complaints(page), [], 'axe, without a run');
  const settings = await page.locator(byTest('settings')).inputValue();
  await page.locator(byTest('settings')).fill(settings.replace('base_rl=1', 'base_lr=1e-3'));
  await page.locator(byTest('reset')).click();
  await reached(page, 1);
  assert.match(await page.locator(byTest('standing')).textContent(), /^Step 1 of/);
  assert.ok(await page.locator(byTest('play')).isEnabled());
  assert.match(page.url(), /base_lr/);
  check();
});

/** What the panel says about its step, and its loss and temperature, as numbers. */
async function inside(page) {
  const which = await page.locator(byTest('inside-which')).textContent();
  await page.locator(byTest('stage-4')).click();
  const loss = /is the loss of this step: (\d+\.\d+)/.exec(await page.locator(byTest('slow')).textContent());
  return { which, loss: Number(loss[1]) };
}

test('inside one step every number is of that step', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: `${address('dino', 'optim.base_lr=5e-3')}&stage=7` });
  await reached(page, 1);
  // The first step of a warm-up moves nothing, and says so; no bar is made of rounding.
  await waitFor(page, 'the stage of the link', () => document.querySelector('[data-testid=stage-6]')?.getAttribute('aria-current') === 'step');
  assert.match(await page.locator(byTest('slow')).textContent(), /Nothing moves in this step: the warm-up begins with a learning rate of 0/);
  assert.equal(await page.locator('.slow .meter').count(), 0);
  await page.locator(byTest('step')).click();
  await reached(page, 2);
  await waitFor(page, 'both to move', () => document.querySelectorAll('.slow .meter').length === 2);
  const [student, teacher] = await page.locator('.slow .meter rect').evaluateAll((all) => all.map((one) => one.width.baseVal.value));
  assert.ok(student === 1 && teacher > 0 && teacher < 0.5, `student ${student}, teacher ${teacher}`);
  // At full speed the run leaves the step behind; what is shown stays of one piece.
  await trainTo(page, 20);
  const losses = await page.evaluate(() => [...window.lab.debug.train.losses]);
  const old = await inside(page);
  assert.match(old.which, /of step 2; the run stands at step \d\d/);
  assert.ok(Math.abs(old.loss - losses[1]) < 1e-3, `${old.loss} is not ${losses[1]}`);
  assert.ok(Math.abs(losses.at(-1) - losses[1]) > 1e-3, 'another step has another loss');
  await page.locator(byTest('step')).click();
  await reached(page, losses.length + 1);
  const fresh = await inside(page);
  assert.match(fresh.which, new RegExp(`of step ${losses.length + 1}, the last one`));
  const { loss } = await where(page);
  assert.ok(Math.abs(fresh.loss - loss) < 1e-3, `${fresh.loss} is not ${loss}`);
  check();
});

const asked = (page, pattern) =>
  waitFor(page, `a question like ${pattern}`, (pattern) => new RegExp(pattern).test(document.querySelector('[data-testid=other]')?.textContent), { argument: pattern });
const unasked = (page) => waitFor(page, 'no question', () => !document.querySelector('[data-testid=other]'));
const follow = (page, hash) => page.evaluate((hash) => { location.hash = hash; }, hash);

test('a link leads to what it says, and no run is lost by it', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('dino') });
  await reached(page, 1);
  assert.equal(await page.locator(byTest('other')).count(), 0, 'a run of the link needs no question');
  const { step } = await trainTo(page, 14);
  const dino = page.url();

  // In the open page: the run stays, the address keeps what was asked, and there is a choice.
  await follow(page, address('mae'));
  await asked(page, `This link asks for MAE; a DINO run of ${step} steps is kept here`);
  assert.match(page.url(), /method=mae/);
  assert.deepEqual(await complaints(page), [], 'axe, while it asks');
  await page.locator(byTest('go-on')).click();
  await unasked(page);
  assert.equal(page.url(), dino, 'the address is the run\'s again');
  assert.deepEqual([(await where(page)).step, await page.locator(byTest('method-0')).isChecked()], [step, true]);

  // Other settings and switches are another run as well.
  await follow(page, address('dino', 'train.seed=7'));
  await asked(page, 'This link asks for DINO with other settings; a DINO run');
  await follow(page, `${address('dino')}&off=centring`);
  await asked(page, 'This link asks for DINO with other switches; a DINO run');
  await follow(page, '#room=train&engine=cpu');
  await unasked(page);
  assert.equal(page.url(), dino, 'a link that names no run means the one that stands');

  // A page opened anew finds the kept run.
  await follow(page, address('mae'));
  await page.reload({ waitUntil: 'load' });
  await asked(page, `This link asks for MAE; a DINO run of ${step} steps is kept here`);
  assert.deepEqual([(await where(page)).step, (await where(page)).method], [step, 'dinov2']);
  assert.match(page.url(), /method=mae/);
  await page.locator(byTest('begin-other')).click();
  await waitFor(page, 'the run of the link', () => window.lab.debug.train.method === 'mae' && window.lab.debug.train.step === 1);
  await unasked(page);

  // A run that has hardly begun gives way at once, switches and all.
  await follow(page, `${address('dino')}&off=centring,ema&stage=3`);
  await waitFor(page, 'the next run', () => window.lab.debug.train.method === 'dinov2' && window.lab.debug.train.step === 1);
  const switches = () => Promise.all(['centring', 'sharpening', 'ema'].map((name) => page.locator(byTest(`switch-${name}`)).getAttribute('aria-checked')));
  await waitFor(page, 'the switches', () => document.querySelector('[data-testid=switch-ema]')?.getAttribute('aria-checked') === 'false');
  assert.deepEqual(await switches(), ['false', 'true', 'false']);
  await waitFor(page, 'buttons', () => !document.querySelector('[data-testid=switch-ema]').disabled);
  assert.equal(await page.locator(byTest('stage-2')).getAttribute('aria-current'), 'step');
  await page.locator(byTest('switch-ema')).click();
  await waitFor(page, 'the switch in the address', () => /off=centring(&|$)/.test(location.hash));
  await page.locator(byTest('stage-4')).click();
  await waitFor(page, 'the stage in the address', () => /stage=5(&|$)/.test(location.hash));
  assert.equal(await page.locator(byTest('other')).count(), 0);
  check();
});

test('curves have axes, and leave as CSV, JSON, SVG and PNG', { timeout: 300_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: address('dino') });
  await reached(page, 1);
  const { step } = await trainTo(page, 11);
  const losses = await page.evaluate(() => [...window.lab.debug.train.losses]);
  const chart = page.locator('figure.curves').first();
  const tick = async (end) => chart.locator(byTest(`tick-${end}`)).textContent();
  assert.deepEqual([await tick('first'), await tick('last')], ['1', String(step)]);
  assert.match(await chart.locator('.plot').textContent(), /nats.*step/);
  const [low, high] = [await tick('low'), await tick('high')].map(Number);
  assert.ok(low <= Math.min(...losses) + 0.01 && high >= Math.max(...losses) - 0.01, `${low} to ${high}`);
  assert.match(await chart.locator('svg').getAttribute('aria-label'), new RegExp(`^Loss, nats\\. loss: .* at step 1, .* at step ${step};`));

  const table = await save(page, page.locator(byTest('curves-csv')));
  assert.equal(table.name, `dino-step-${step}-curves.csv`);
  const [head, ...rows] = csv(table.text);
  assert.deepEqual(rows.map((row) => Number(row[0])), losses.map((_, at) => at + 1));
  assert.deepEqual(rows.map((row) => Math.fround(Number(row[head.indexOf('loss')]))), losses);
  // The same as JSON, with all that made it: the settings in it begin the run again.
  const json = await save(page, page.locator(byTest('run-json')));
  assert.equal(json.name, `dino-step-${step}-run.json`);
  const { run, look, steps, link } = JSON.parse(json.text);
  assert.deepEqual(steps.map((one) => [one.step, one.loss]), losses.map((loss, at) => [at + 1, loss]));
  assert.ok(steps.at(-1).teacher_entropy > 0 && steps.some((one) => one.rankme >= 1), `${json.text.slice(-400)}`);
  assert.deepEqual([run.method, run.step, run.switches], ['dinov2', step, { centring: true, sharpening: true, ema: true, koleo: true }]);
  assert.ok(run.settings.includes('model.embed_dim=32') && run.config.includes('embed_dim = 32'), `${run.settings}`);
  assert.equal(look.prototypes.length, run.prototypes);
  assert.equal(new URL(link, page.url()).href, page.url());
  await chart.locator('summary').click();
  const svg = await save(page, chart.locator(byTest('curve-svg')));
  assert.equal(svg.name, `dino-step-${step}-loss.svg`);
  const drawn = await page.evaluate((text) => {
    const read = new DOMParser().parseFromString(text, 'image/svg+xml');
    return { broken: read.querySelector('parsererror')?.textContent, words: [...read.querySelectorAll('text')].map((one) => one.textContent) };
  }, svg.text);
  assert.equal(drawn.broken, undefined);
  for (const word of ['Loss', 'nats', 'step', '1', String(step)]) assert.ok(drawn.words.includes(word), `${word} in ${drawn.words}`);
  const png = await save(page, chart.locator(byTest('curve-png')));
  assert.equal(png.name, `dino-step-${step}-loss.png`);
  assert.equal(png.bytes.subarray(1, 4).toString(), 'PNG');
  assert.deepEqual([png.bytes.readUInt32BE(16), png.bytes.readUInt32BE(20)], [1280, 720]);
  check();
});
