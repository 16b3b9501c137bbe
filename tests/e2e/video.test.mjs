// The room Video: frames before any click, colours that keep their meaning, a thing that is followed, camera and clip.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, openLab, waitFor } from './harness.mjs';
import { byTest, frames } from './rooms.mjs';

const CAMERA = { ...WITHOUT_WEBGPU, flags: [...WITHOUT_WEBGPU.flags, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'], permissions: ['camera'] };

const shot = (page, name) => page.locator(`${byTest(name)} canvas`).first().screenshot();

test('frames come before any click; pause stops, one frame goes on, colours are fitted anew', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=video&sample=harbour' });
  await frames(page);
  t.diagnostic(await page.locator(byTest('video-speed')).textContent());
  await page.locator(byTest('video-play')).click();
  await page.waitForTimeout(800);
  const still = await shot(page, 'video-components');
  await page.waitForTimeout(600);
  assert.ok((await shot(page, 'video-components')).equals(still), 'it moves while paused');
  for (let step = 0; step < 6; step += 1) {
    await page.locator(byTest('video-step')).click();
    await page.waitForTimeout(250);
  }
  await page.waitForTimeout(500);
  const moved = await shot(page, 'video-components');
  assert.ok(!moved.equals(still), 'a step shows the same frame');
  await page.locator(byTest('video-refit')).click();
  await page.locator(byTest('video-step')).click();
  await page.waitForTimeout(800);
  assert.ok(!(await shot(page, 'video-components')).equals(moved), 'the basis stayed');
  check();
});

test('a thing that was clicked is followed, by keyboard too, and let go', { timeout: 120_000 }, async (t) => {
  const { page, check } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=video&sample=reef' });
  await frames(page);
  await page.locator(byTest('video-picker')).click({ position: { x: 60, y: 60 } });
  await waitFor(page, 'what is followed', () => /^(Followed: row|Out of sight)/.test(document.querySelector('[data-testid="video-thing"]').textContent));
  await page.waitForTimeout(500);
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

test('a clip plays, and one that the browser does not know is said', { timeout: 120_000 }, async (t) => {
  const { page } = await openLab(t, { ...WITHOUT_WEBGPU, path: '#room=video' });
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
  await page.setInputFiles(byTest('feed-clip'), { name: 'broken.mp4', mimeType: 'video/mp4', buffer: Buffer.from('no film') });
  await waitFor(page, 'a sentence', () => /cannot play broken\.mp4.*WebM/.test(document.querySelector('[role=alert]').textContent));
});
