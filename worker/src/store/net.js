// A stream over the network. Thin on purpose: what to do with it is decided in Rust.

/** Waits for the one who holds a file to let go of it, and sleeps between two tries of the network. */
export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

let controller = new AbortController();

/** Ends the request under way. */
export function abort() {
  controller.abort();
  controller = new AbortController();
}

/**
 * Asks for a file from byte `from` on. `etag` goes along as `If-Range` to our own site only: elsewhere that header
 * would need the server's leave in advance, which the hub does not give; there the answer's mark is compared instead.
 */
export async function request(url, from, etag) {
  const headers = {};
  if (from > 0) {
    headers.Range = `bytes=${from}-`;
    if (etag && !etag.startsWith("W/") && new URL(url).origin === self.location.origin) headers["If-Range"] = etag;
  }
  // Not from the HTTP cache: it would keep a second copy of gigabytes.
  const response = await fetch(url, { headers, cache: "no-store", signal: controller.signal });
  const told = (name) => response.headers.get(name) ?? undefined;
  // Another site shows a page the length of a body, and not whether that is the length of a packed one.
  const packed = told("Content-Encoding") !== undefined
    || (response.type === "cors" && /json|text|xml|javascript/.test(told("Content-Type") ?? ""));
  return {
    status: response.status,
    statusText: response.statusText,
    contentRange: told("Content-Range"),
    contentLength: packed ? undefined : told("Content-Length"),
    etag: told("ETag"),
    linkedEtag: told("X-Linked-ETag"),
    type: told("Content-Type") ?? "",
    reader: response.body?.getReader(),
  };
}

/** The next piece of a body; undefined at its end. */
export async function next(reader) {
  const { done, value } = await reader.read();
  return done ? undefined : value;
}

/** Bytes of an unwanted body that are read to its end: a "not found" page, which is no failure of the network. */
const LITTLE = 1 << 16;

/** Lets go of a body that is not wanted. */
export async function cancel(reader) {
  try {
    for (let bytes = 0; bytes < LITTLE; ) {
      const { done, value } = await reader.read();
      if (done) return;
      bytes += value.length;
    }
    await reader.cancel();
  } catch {
    // It had ended already.
  }
}

/** Ends a body in its middle, of which more may never come. */
export async function leave(reader) {
  try {
    await reader.cancel();
  } catch {
    // It had ended already.
  }
}
