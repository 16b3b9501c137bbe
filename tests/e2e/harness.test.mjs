// The harness itself has teeth: each way in which a page or its worker can go wrong must be heard.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { WITHOUT_WEBGPU, cosine, dropFiles, openWindow, waitFor } from './harness.mjs';

const PAGE = `<!doctype html><title>harness</title><link rel="icon" href="data:,"><div id="target">drop here</div>
<script type="module">
  const worker = new Worker('/worker.js', { type: 'module' });
  worker.onmessage = (event) => { window.answer = event.data; };
  target.ondrop = async (event) => { window.dropped = await event.dataTransfer.files[0].text(); };
</script>`;

/** Serves a page whose worker runs `body`. */
async function serveWorker(t, body) {
  const server = createServer((request, response) => {
    const [type, text] = request.url === '/' ? ['text/html', PAGE] : ['text/javascript', body];
    response.statusCode = ['/', '/worker.js'].includes(request.url) ? 200 : 404;
    response.setHeader('content-type', type).end(text);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Runs `body` in a worker and returns its answer and the problems that the harness heard. */
async function runInWorker(t, body, options) {
  const address = await serveWorker(t, body);
  const { page, problems } = await openWindow(t, options);
  await page.goto(address);
  await waitFor(page, 'the worker', () => window.answer !== undefined);
  if (body.includes('PROBLEM')) await waitUntil(() => problems.length > 0);
  return { page, answer: await page.evaluate(() => window.answer), problems };
}

async function waitUntil(condition) {
  for (let i = 0; i < 50 && !condition(); i += 1) await new Promise((resolve) => setTimeout(resolve, 100));
}

const ADAPTER = `const adapter = await navigator.gpu?.requestAdapter();
  postMessage(adapter ? adapter.info.vendor + ' ' + adapter.info.architecture : 'none');`;

test('a worker gets a software GPU, and a quiet page has no problems', async (t) => {
  const { page, answer, problems } = await runInWorker(t, ADAPTER);
  assert.match(answer, /swiftshader/i);
  await dropFiles(page, '#target', [{ name: 'a.txt', type: 'text/plain', bytes: Buffer.from('hello') }]);
  await waitFor(page, 'the drop', () => window.dropped === 'hello');
  assert.deepEqual(problems, []);
});

test('without WebGPU there is no adapter', async (t) => {
  const { answer, problems } = await runInWorker(t, ADAPTER, WITHOUT_WEBGPU);
  assert.equal(answer, 'none');
  assert.deepEqual(problems, []);
});

const PROBLEMS = {
  'a shader that does not compile': `const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice(); device.createShaderModule({ code: 'PROBLEM' });
    await device.queue.onSubmittedWorkDone(); postMessage(1);`,
  'a pipeline that is not valid': `const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'PROBLEM' } });
    await device.queue.onSubmittedWorkDone(); postMessage(1);`,
  'too many workgroups': `const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn PROBLEM() {}' });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const encoder = device.createCommandEncoder(); const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline); pass.dispatchWorkgroups(65536); pass.end();
    device.queue.submit([encoder.finish()]); await device.queue.onSubmittedWorkDone(); postMessage(1);`,
  'console.error': `console.error('PROBLEM'); postMessage(1);`,
  'an exception': `setTimeout(() => { throw new Error('PROBLEM'); }); postMessage(1);`,
  'a rejected promise': `Promise.reject(new Error('PROBLEM')); postMessage(1);`,
  'a missing file': `await fetch('/PROBLEM'); postMessage(1);`,
  'a request that fails': `fetch('http://127.0.0.1:9/PROBLEM').catch(() => {}); postMessage(1);`,
};

for (const [name, body] of Object.entries(PROBLEMS)) {
  test(`heard from a worker: ${name}`, async (t) => {
    const { problems } = await runInWorker(t, body);
    assert.notEqual(problems.length, 0, 'the harness heard nothing');
    problems.length = 0; // this test expects them
  });
}

test('an expected problem can be allowed', async (t) => {
  const { problems } = await runInWorker(t, `console.error('known'); postMessage(1);`, { allow: [/known/] });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(problems, []);
});

test('cosine', () => {
  assert.equal(cosine([1, 0], [2, 0]), 1);
  assert.equal(cosine([1, 0], [0, 3]), 0);
  assert.throws(() => cosine([1], [1, 2]));
});
