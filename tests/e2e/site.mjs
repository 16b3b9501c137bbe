// A server of this test's own: the built page as `cargo xtask serve` gives it, headers and all, and beside it models
// whose delivery the test spoils: cut in the middle, without ranges, with wrong bytes, as a hub with hashes.

import { createHash } from 'node:crypto';
import http from 'node:http';
import { labUrl } from './harness.mjs';

const TYPES = { js: 'text/javascript', json: 'application/json', jpg: 'image/jpeg' };

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * Starts the server and ends it after test `t`. `files` maps paths (`/models/tiny/model.safetensors`) to bytes; it may be
 * changed while the test runs, as may `rules`: path to `{ cutAt, ranges, etag, wait, total }` (`total`: bytes that are told,
 * of which only the first come, and then nothing). `log` holds `[path, range, status]`
 * of every request for one of the files.
 */
export async function startSite(t, files = {}) {
  const rules = {};
  const log = [];
  const sockets = new Set();
  const server = http.createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
    try {
      if (Object.hasOwn(files, path)) return await serveFile(path, request, response);
      // Below these folders there are only the test's own files.
      if (/^\/(models|hub)\//.test(path)) return void response.writeHead(404, { 'Content-Type': 'text/plain' }).end('none');
      const page = await fetch(labUrl(request.url.slice(1)), { headers: request.headers.range ? { range: request.headers.range } : {} });
      const headers = Object.fromEntries([...page.headers].filter(([name]) => !/^(connection|keep-alive|transfer-encoding)$/.test(name)));
      response.writeHead(page.status, headers).end(Buffer.from(await page.arrayBuffer()));
    } catch {
      response.destroy();
    }
  });
  async function serveFile(path, request, response) {
    const { cutAt, ranges = true, etag = `"${sha256(files[path]).slice(0, 8)}"`, linked, wait = 0, total } = rules[path] ?? {};
    const bytes = Buffer.from(files[path]);
    const asked = ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const same = !request.headers['if-range'] || request.headers['if-range'] === etag;
    const [start, end] = asked && same ? [Number(asked[1]), asked[2] ? Number(asked[2]) + 1 : bytes.length] : [0, bytes.length];
    const headers = { 'Content-Type': TYPES[path.split('.').pop()] ?? 'application/octet-stream', ETag: etag, 'Cross-Origin-Resource-Policy': 'same-origin' };
    if (linked) headers['X-Linked-ETag'] = linked;
    if (asked && same && start >= bytes.length) {
      log.push([path, request.headers.range, 416]);
      return void response.writeHead(416, { ...headers, 'Content-Range': `bytes */${bytes.length}` }).end();
    }
    const status = asked && same ? 206 : 200;
    if (status === 206) headers['Content-Range'] = `bytes ${start}-${end - 1}/${bytes.length}`;
    log.push([path, request.headers.range ?? '', status]);
    const body = bytes.subarray(start, end);
    response.writeHead(status, { ...headers, 'Content-Length': total ?? body.length });
    if (total) return void response.write(body);
    if (cutAt !== undefined && start < cutAt) {
      // Flushed, then cut: the browser has received exactly these, and a busy page has read them.
      response.write(body.subarray(0, cutAt - start), () => setTimeout(() => response.destroy(), 600));
      return;
    }
    if (wait) {
      response.write(body.subarray(0, body.length >> 1));
      await new Promise((resolve) => setTimeout(resolve, wait));
      response.end(body.subarray(body.length >> 1));
      return;
    }
    response.end(body);
  }
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  };
  t.after(() => stop().catch(() => {}));
  return { url: (path = '') => `http://127.0.0.1:${server.address().port}/${path}`, files, rules, log, stop };
}
