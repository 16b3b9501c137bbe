// The lab without a network: everything that the page is made of is kept at the first visit, each file held to its
// SHA-256, and answered from there.
//
// `cargo xtask web` puts the list of the built files in the place of the line below, so that this file changes with any
// of them and the browser notices: the new version is fetched beside the old one, and takes over when the user says so.
// Models are not here but in the site's own file system (worker/src/store); other sites are never answered for.

const MANIFEST = null; // replaced when built

const PREFIX = "lab-";
const CACHE = `${PREFIX}${MANIFEST?.version}`;
const SCOPE = new URL("./", self.location.href);

/** The file's place below the page, or null for what is not ours. `""` is the page itself. */
function place(url) {
  const { origin, pathname } = new URL(url);
  if (origin !== SCOPE.origin || !pathname.startsWith(SCOPE.pathname)) return null;
  const path = decodeURIComponent(pathname.slice(SCOPE.pathname.length));
  const file = path === "" || path.endsWith("/") ? `${path}index.html` : path;
  return MANIFEST && Object.hasOwn(MANIFEST.files, file) ? file : null;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fetches a file past the HTTP cache and keeps it, if it is the one that this version is made of. */
async function keep(cache, file) {
  const url = new URL(file === "index.html" ? "./" : file, SCOPE);
  const response = await fetch(url, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  const found = await sha256(await response.clone().arrayBuffer());
  if (found !== MANIFEST.files[file].sha256) throw new Error(`${file} is of another version`);
  await cache.put(new URL(file, SCOPE), response.clone());
  return response;
}

self.addEventListener("install", (event) => {
  if (!MANIFEST) return;
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      const wanted = Object.keys(MANIFEST.files).filter((file) => MANIFEST.files[file].first);
      // What the version before already holds is not fetched again.
      const before = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
      for (const file of wanted) {
        let kept = null;
        for (const name of before) {
          const old = await (await caches.open(name)).match(new URL(file, SCOPE));
          if (old && (await sha256(await old.clone().arrayBuffer())) === MANIFEST.files[file].sha256) kept = old;
        }
        // The page itself always anew: its headers may have changed with the same text.
        if (kept && file !== "index.html") await cache.put(new URL(file, SCOPE), kept);
        else await keep(cache, file);
      }
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

/** A stretch of a file that is kept whole, as a server would give it. */
async function part(whole, range) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  if (first === undefined) return whole;
  const blob = await whole.blob();
  const [start, end] = [Number(first), last ? Math.min(Number(last) + 1, blob.size) : blob.size];
  const headers = new Headers(whole.headers);
  headers.set("Content-Range", start < end ? `bytes ${start}-${end - 1}/${blob.size}` : `bytes */${blob.size}`);
  headers.set("Content-Length", String(Math.max(end - start, 0)));
  return new Response(blob.slice(start, end), { status: start < end ? 206 : 416, headers });
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const file = place(request.url);
  if (file === null) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      try {
        // What comes later than the rest, such as the GPU engine, is kept from now on.
        const whole = (await cache.match(new URL(file, SCOPE))) ?? (await keep(cache, file));
        const range = request.headers.get("range");
        return range ? await part(whole, range) : whole;
      } catch {
        return fetch(request);
      }
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});
