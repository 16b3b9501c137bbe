// The room Video: frames before any click, colours that keep their meaning, a thing that is followed, camera and clip.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ONE_SAMPLE_ON_CPU, WITHOUT_WEBGPU, openLab, until, waitFor } from './harness.mjs';
import { address, byTest, cells, frames, pressed, said } from './rooms.mjs';

const CAMERA = { ...ONE_SAMPLE_ON_CPU, flags: [...WITHOUT_WEBGPU.flags, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'], permissions: ['camera'] };

const shot = (page, name) => page.locator(`${byTest(name)} canvas`).first().screenshot();

test('frames come before any click; pause stops, one frame goes on, colours are fitted anew', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video&sample=harbour' });
  await frames(page);
  t.diagnostic(await page.locator(byTest('video-speed')).textContent());
  // The thing in the middle is followed before anybody clicks.
  await followed(page);
  assert.doesNotMatch(await address(page), /follow=/);
  await page.locator(byTest('video-play')).click();
  await page.waitForTimeout(800);
  const still = await shot(page, 'video-components');
  await page.waitForTimeout(600);
  assert.ok((await shot(page, 'video-components')).equals(still), 'it moves while paused');
  const at = async () => Number(/at=(\d+)/.exec(await address(page))[1]);
  const from = await at();
  for (let step = 1; step <= 6; step += 1) {
    await page.locator(byTest('video-step')).click();
    await until(`step ${step}`, async () => (await at()) === from + step);
  }
  const moved = await shot(page, 'video-components');
  assert.ok(!moved.equals(still), 'a step shows the same frame');
  // The frame on show, in colours of its own; without the mark of what is followed.
  await page.locator(byTest('video-release')).click();
  await page.waitForTimeout(500);
  const input = await shot(page, 'video-input');
  await page.locator(byTest('video-refit')).click();
  await until('other colours', async () => !(await shot(page, 'video-components')).equals(moved));
  assert.ok((await shot(page, 'video-input')).equals(input) && (await at()) === from + 6, 'it moved');
  check();
});

test('a thing that was clicked is followed, by keyboard too, and let go', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video&sample=reef' });
  await frames(page);
  await page.locator(byTest('video-picker')).click({ position: { x: 60, y: 60 } });
  await waitFor(page, 'what is followed', () => /^(Followed: row|Lost:)/.test(document.querySelector('[data-testid="video-thing"]').textContent));
  await page.waitForTimeout(500);
  await page.locator('.video .export summary').click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(byTest('video-save')).click()]);
  assert.equal(download.suggestedFilename(), 'frame.png');
  await page.locator(byTest('video-release')).click();
  await waitFor(page, 'nothing to follow', () => document.querySelector('[data-testid="video-thing"]').textContent === '');
  await page.locator(byTest('video-picker')).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await waitFor(page, 'what is followed', () => document.querySelector('[data-testid="video-thing"]').textContent !== '');
  check();
});

test('the camera plays', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...CAMERA, path: '#room=video' });
  await frames(page);
  const before = await shot(page, 'video-input');
  await page.locator(byTest('feed-camera')).click();
  await waitFor(page, 'the camera', () => document.querySelector('video.source')?.videoWidth > 0);
  // What was followed in the picture is not looked for before the camera.
  await waitFor(page, 'nothing to follow', () => document.querySelector('[data-testid="video-thing"]').textContent === '');
  await page.waitForTimeout(1500);
  const first = await shot(page, 'video-input');
  assert.ok(!first.equals(before), 'the picture on show is still shown');
  await page.waitForTimeout(1200);
  assert.ok(!(await shot(page, 'video-input')).equals(first), 'the camera stands still');
  // The room is left: its light goes out.
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'the room to close', () => !document.querySelector('video.source'));
  check();
});

test('a camera that comes before the first frame, and one that comes when the room was left', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...CAMERA, path: '#room=video' });
  const thing = () => page.locator(byTest('video-thing')).textContent();
  await page.locator(byTest('feed-camera')).click();
  await waitFor(page, 'the camera', () => document.querySelector('video.source')?.videoWidth > 0);
  await frames(page);
  // What lies in the middle is followed in the picture only.
  for (let time = 0; time < 15; time += 1) {
    await page.waitForTimeout(100);
    assert.equal(await thing(), '');
  }
  // The room is left, and the picture is back when it is entered again.
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'the room to close', () => !document.querySelector('video.source'));
  await page.evaluate(() => {
    const ask = MediaDevices.prototype.getUserMedia;
    window.streams = [];
    MediaDevices.prototype.getUserMedia = async function (...wanted) {
      const stream = await ask.apply(this, wanted);
      await new Promise((resolve) => { window.allow = resolve; });
      window.streams.push(stream);
      return stream;
    };
  });
  await page.locator(byTest('room-video')).click();
  await frames(page);
  assert.equal(await page.locator(byTest('feed-pan')).getAttribute('aria-pressed'), 'true');
  await page.locator(byTest('feed-camera')).click();
  await waitFor(page, 'the question', () => window.allow);
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'the room to close', () => !document.querySelector('video.source'));
  await page.evaluate(() => window.allow());
  await waitFor(page, 'the light to go out', () => window.streams.length === 1 && window.streams[0].getTracks().every((track) => track.readyState === 'ended'));
  check();
});

test('a clip plays, and one that the browser does not know is said', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video' });
  await frames(page);
  // A clip of a moving square, recorded by the browser itself.
  const bytes = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 96;
    const context = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm' });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const done = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    for (let at = 0; at < 30; at += 1) {
      context.fillStyle = '#204060';
      context.fillRect(0, 0, 96, 96);
      context.fillStyle = '#f0c040';
      context.fillRect(at * 2, 30, 24, 24);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await done;
    return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
  });
  await page.setInputFiles(byTest('feed-clip'), { name: 'square.webm', mimeType: 'video/webm', buffer: Buffer.from(bytes) });
  await waitFor(page, 'the clip', () => document.querySelector('video.source')?.videoWidth === 96);
  // Where nothing moves it rests, also in a room that is entered again.
  await page.locator(byTest('video-play')).click();
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'the room to close', () => !document.querySelector('video.source'));
  await page.locator(byTest('room-video')).click();
  await waitFor(page, 'the clip, once more', () => document.querySelector('video.source')?.readyState >= 2);
  assert.ok(await page.evaluate(() => document.querySelector('video.source').paused));
  await page.setInputFiles(byTest('feed-clip'), { name: 'broken.mp4', mimeType: 'video/mp4', buffer: Buffer.from('no film') });
  await waitFor(page, 'a sentence', () => /cannot play broken\.mp4.*WebM/.test(document.querySelector('[role=alert]').textContent));
});

const views = ['video-input', 'video-components', 'video-likeness'];
const pictures = (page) => Promise.all(views.map((view) => cells(page, view)));
const followed = (page) => waitFor(page, 'what is followed', () => /^(Followed: row|Lost:)/.test(document.querySelector('[data-testid="video-thing"]')?.textContent));

test('the link of a pause shows its frame and what is followed, the same each time', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video&sample=harbour' });
  await frames(page);
  assert.doesNotMatch(await address(page), /at=/, 'the address follows every frame');
  await page.locator(byTest('video-picker')).click({ position: { x: 100, y: 100 } });
  await followed(page);
  await page.locator(byTest('video-play')).click();
  await page.waitForTimeout(1500);
  const hash = await address(page);
  // The colours are those of the first frame.
  assert.match(hash, /^#room=video&sample=harbour&play=no&at=\d+&follow=\d+&colours=1$/);
  await page.locator('.video .export summary').click();
  const lines = (await pressed(page, page.locator(byTest('video-csv')))).bytes.toString().trim().split('\n');
  assert.equal(lines[0], 'frame,row,column,likeness,patches,out of sight');
  assert.ok(lines.length > 1 && lines.slice(1).every((line) => /^\d+,\d+,\d+,[-\d.e]+,\d+,(true|false)$/.test(line)), lines[1]);
  const { frames: track, grid, model, link } = JSON.parse((await pressed(page, page.locator(byTest('video-json')))).bytes);
  assert.deepEqual([track.length, grid, model.name, link], [lines.length - 1, [16, 16], 'tiny', hash]);
  const last = track.at(-1);
  const { row, column, likeness, patches } = last;
  const words = last['out of sight'] ? `Lost: the most alike place near row ${row}, column ${column} has likeness ${likeness.toFixed(2)}` : `Followed: row ${row}, column ${column}, likeness ${likeness.toFixed(2)}, ${patches.length} patches`;
  assert.ok((await page.locator(byTest('video-thing')).textContent()).startsWith(words), `${words} is not on the screen`);
  assert.ok(lines.at(-1).startsWith(`${last.frame},${row},${column},`), lines.at(-1));
  const [input, components] = (await pictures(page)).flat();
  // Left and entered again: the canvases are new.
  await page.locator(byTest('room-see')).click();
  await waitFor(page, 'the room to close', () => !document.querySelector('video.source'));
  await page.locator(byTest('room-video')).click();
  await followed(page);
  await page.waitForTimeout(1500);
  assert.deepEqual((await pictures(page)).flat().slice(0, 2), [input, components]);
  assert.equal(await address(page), hash);
  // A link in the open page that follows nothing lets go.
  const alone = hash.replace(/&follow=\d+/, '');
  await page.evaluate((hash) => { location.hash = hash; }, alone);
  await waitFor(page, 'nothing followed', () => document.querySelector('[data-testid="video-release"]').disabled);
  await until('the link to stay', async () => (await address(page)) === alone);
  check();

  const seen = [];
  for (let time = 0; time < 2; time += 1) {
    const other = (await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: hash })).page;
    await followed(other);
    await other.waitForTimeout(1500);
    assert.equal(await address(other), hash);
    seen.push(await pictures(other));
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.deepEqual(seen[0].flat().slice(0, 2), [input, components], 'another frame, or other colours, than the sender saw');
  assert.equal(new Set(seen[0].flat()).size, 3);
});

test('what is followed is followed on by another engine, and by another model', { timeout: 120_000 }, async (t) => {
  const hash = '#room=video&sample=harbour&play=no&at=20&follow=100';
  const { page, check } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: hash });
  await followed(page);
  assert.equal(await address(page), hash);
  await page.waitForTimeout(500);
  const before = JSON.stringify(await pictures(page));
  // One more engine of the CPU: its canvases are new.
  await page.locator('input[name="engine"]').nth(1).check({ force: true });
  await waitFor(page, 'another engine', () => /You chose/.test(document.querySelector('[data-testid="engine-status"]').parentElement.textContent));
  await until('the same pictures', async () => JSON.stringify(await pictures(page)) === before);
  await until('the same link', async () => /&at=20&follow=100$/.test(await address(page)));
  await page.locator(byTest('built-in')).selectOption('untrained-mae');
  await waitFor(page, 'the other model', () => /model=untrained-mae/.test(location.hash));
  await until('its patch', async () => /&at=20&follow=\d+$/.test(await address(page)));
  await followed(page);
  check();
});

test('colours fitted to another picture stand in the link', { timeout: 120_000 }, async (t) => {
  const { page, context } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=video&sample=reef&play=no&at=20' });
  await frames(page);
  const shown = async () => (await pictures(page)).flat().slice(0, 2);
  const becomes = (what, wanted) => until(what, async () => wanted(await shown()));
  const same = (one) => (other) => other.every((sum, which) => sum === one[which]);
  const link = '#room=video&sample=reef&play=no&at=20';
  assert.equal(await address(page), link);
  await becomes('the frame of the link', ([input, colours]) => input !== colours);
  const reef = await shown();
  await page.locator('.images .thumbnail', { hasText: 'lemons' }).click();
  await becomes('the other picture', (now) => now.every((sum, which) => sum !== reef[which]));
  const lemons = await shown();
  const hash = '#room=video&sample=lemons&play=no&at=20&colours-of=reef';
  assert.equal(await address(page), hash);
  // Fitted anew they are its own, and the link is short again.
  await page.locator(byTest('video-refit')).click();
  await becomes('colours of its own', (now) => now[0] === lemons[0] && now[1] !== lemons[1]);
  assert.equal(await address(page), '#room=video&sample=lemons&play=no&at=20');

  // In the open page, and in a fresh one.
  await page.evaluate((hash) => { location.hash = hash; }, hash);
  await becomes('the colours of the link', same(lemons));
  assert.equal(await address(page), hash);
  await page.reload({ waitUntil: 'load' });
  await frames(page);
  await becomes('the colours of the link, in a fresh page', same(lemons));
  assert.equal(await address(page), hash);
  // The model changes: the frame of the link stays what the colours are fitted to.
  await page.locator(byTest('built-in')).selectOption('untrained-mae');
  await becomes('the other model', (now) => now.every((sum, which) => sum !== lemons[which]));
  assert.match(await address(page), /model=untrained-mae.*&at=20&colours-of=reef$/);
  // Colours of the visitor's own picture are in no link, and that is said.
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const mae = await shown();
  const bytes = await readFile(new URL('../../public/samples/apples.jpg', import.meta.url));
  await page.setInputFiles(byTest('file-input'), { name: 'mine.jpg', mimeType: 'image/jpeg', buffer: bytes });
  await becomes('my picture', (now) => now.every((sum, which) => sum !== mae[which]));
  const before = await shown();
  await page.locator(byTest('video-refit')).click();
  await becomes('colours of my picture', (now) => now[1] !== before[1]);
  await page.locator(byTest('copy-link')).click();
  await waitFor(page, 'the word', () => /Not in the link: .*the frame that the colours were fitted to/.test(document.querySelector('.copy').textContent));
});

test('a link that does not play shows a frame, and a patch that is not there is dropped with a word', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video&sample=reef&play=no&follow=4000' });
  await frames(page);
  await said(page, /patch 4000; here they go from 0 to 255/);
  assert.equal(await address(page), '#room=video&sample=reef&play=no');
  await waitFor(page, 'a frame that is not empty', () => {
    const shown = document.querySelector('[data-testid="video-input"] canvas');
    const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d');
    copy.drawImage(shown, 0, 0);
    return new Set(copy.getImageData(0, 0, shown.width, shown.height).data).size > 50;
  }, { timeout: 10_000 });
});

test('the pictures follow their place as it grows and shrinks', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...ONE_SAMPLE_ON_CPU, path: '#room=video&sample=reef&play=no' });
  await frames(page);
  for (const viewport of [{ width: 700, height: 900 }, { width: 1100, height: 900 }]) {
    await page.setViewportSize(viewport);
    await waitFor(page, 'pixels as wide as their place', () => [...document.querySelectorAll('[data-testid="video-input"] canvas, [data-testid="video-components"] canvas')].every((canvas) => canvas.width === Math.min(512, Math.round(canvas.getBoundingClientRect().width))), { timeout: 20_000 });
  }
});
