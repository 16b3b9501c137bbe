// Takes the pictures of docs/screenshots from the built page, on its CPU engine.
//
//   cargo xtask web && cargo xtask serve --port 8080 &
//   LAB_URL=http://127.0.0.1:8080/ node screenshots.mjs

import { fileURLToPath } from 'node:url';
import { WITHOUT_WEBGPU, visit } from './harness.mjs';
import { byTest, frames, reached, settled } from './rooms.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const WIDE = { width: 1440, height: 1000 };

/** Name, link, size, colours, and what is done before. */
const PICTURES = [
  ['page', '#room=see&patch=120', WIDE, 'light', settled],
  ['page-dark', '#room=see&patch=120', WIDE, 'dark', settled],
  ['page-phone', '#room=see', { width: 390, height: 844 }, 'light', settled],
  ['compare', '#room=see&sample=ginger-cat&basis=shared&foreground=0.5&map=heads&layer=2&compare=twin', WIDE, 'light', settled],
  ['mask', '#room=mask&model=tiny-mae', WIDE, 'light', settled],
  ['probe', '#room=probe', WIDE, 'light', (page) => page.waitForSelector(byTest('probe-result'))],
  ['train', '#room=train&method=dino', WIDE, 'light', train],
  ['video', '#room=video', WIDE, 'light', frames],
  ['learn', '#room=learn', WIDE, 'light', settled],
];

async function train(page) {
  await reached(page, 1);
  await page.locator(byTest('play')).click();
  await reached(page, 60);
  await page.locator(byTest('play')).click();
}

for (const [name, path, viewport, colorScheme, before] of PICTURES) {
  await visit({ ...WITHOUT_WEBGPU, viewport, path }, async ({ page }) => {
    await page.emulateMedia({ colorScheme });
    await before(page);
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${FOLDER}${name}.png` });
    console.log(name);
  });
}
