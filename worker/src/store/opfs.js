// What the browser lends the store: the site's own file system, a stream over the network, room on the disk.
// Thin on purpose: what to do with it is decided in Rust.

/** The store's folder, or a model's folder in it. Null when it is not there and not to be made. */
export async function folder(key, create) {
  if (!navigator.storage?.getDirectory) throw new Error("this browser keeps no files for pages (OPFS)");
  const root = await navigator.storage.getDirectory();
  try {
    const models = await root.getDirectoryHandle("models", { create });
    return key ? await models.getDirectoryHandle(key, { create }) : models;
  } catch (error) {
    if (error.name === "NotFoundError") return null;
    throw error;
  }
}

export async function names(folder) {
  const found = [];
  for await (const name of folder.keys()) found.push(name);
  return found.sort();
}

export async function remove(folder, name) {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (error.name !== "NotFoundError") throw error;
  }
}

/** A file to read, as a `File`; null when it is not there. */
export async function file(folder, name) {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (error.name === "NotFoundError") return null;
    throw error;
  }
}

/** A file to write, held by us alone until it is closed. */
export async function writer(folder, name) {
  const handle = await folder.getFileHandle(name, { create: true });
  return handle.createSyncAccessHandle();
}

export const size = (handle) => handle.getSize();
export const read = (handle, bytes, at) => handle.read(bytes, { at });
export const truncate = (handle, length) => handle.truncate(length);
export const flush = (handle) => handle.flush();
export const close = (handle) => handle.close();

/** Writes all of it, or throws: a short write is a full disk. */
export function write(handle, bytes, at) {
  const written = handle.write(bytes, { at });
  if (written !== bytes.length) {
    throw new DOMException(`${written} of ${bytes.length} bytes were written`, "QuotaExceededError");
  }
}

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
  return {
    status: response.status,
    statusText: response.statusText,
    contentRange: told("Content-Range"),
    contentLength: told("Content-Encoding") === undefined ? told("Content-Length") : undefined,
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

/** `[usage, quota]` in bytes; zeros where the browser does not tell. */
export async function room() {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  return [usage, quota];
}
