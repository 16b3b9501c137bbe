// The site's own file system (OPFS). Thin on purpose: what to do with it is decided in Rust.

/** A folder by its path, such as `models/KEY`. Null when it is not there and not to be made. */
export async function folder(path, create) {
  if (!navigator.storage?.getDirectory) throw new Error("this browser keeps no files for pages (OPFS)");
  try {
    let found = await navigator.storage.getDirectory();
    for (const name of path.split("/")) found = await found.getDirectoryHandle(name, { create });
    return found;
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

/** `[usage, quota]` in bytes; zeros where the browser does not tell. */
export async function room() {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  return [usage, quota];
}
