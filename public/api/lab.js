/**
 * The lab's JavaScript API: the same wasm that drives the page, without the page.
 *
 * ```js
 * import { Model } from "./api/lab.js";
 * const model = await Model.load("https://huggingface.co/facebook/dinov2-small/resolve/main/");
 * const { cls, patches, grid, dim } = await model.embed(document.querySelector("img"));
 * model.close();
 * ```
 *
 * All work is done in a worker; nothing is uploaded. Documentation: docs/javascript-api.md.
 */

/** The version of `protocol/src/lib.rs` that this file speaks. */
export const PROTOCOL = 7;

/**
 * @typedef {object} Embedding
 * @property {Float32Array} cls      The image's one vector `[dim]`: the class token after the last norm; of CLIP and
 *                                   SigLIP the pooled output; the mean of the patches in a model with neither.
 * @property {Float32Array} patches  The patch tokens `[rows * columns, dim]`, row by row.
 * @property {[number, number]} grid Patch rows and columns.
 * @property {number} dim            Width of an embedding.
 * @property {number} millis         From pixels to embedding, in milliseconds.
 *
 * @typedef {object} Progress
 * @property {string} task   What is being done: "checking kernels", "downloading", "reading weights".
 * @property {number} done   Done so far; "downloading" begins anew with each file.
 * @property {number} total  All there is to do; 0 when unknown.
 * @property {string} unit   What is counted: "bytes", "kernels".
 *
 * @typedef {object} Options
 * @property {"auto" | "cpu" | "gpu"} [engine]            Default "auto": WebGPU where a real GPU answers, else CPU.
 * @property {(progress: Progress) => void} [onProgress]  Called while something long moves on.
 * @property {(message: string) => void} [onWarning]      Called with one sentence; default `console.warn`.
 * @property {string | URL} [base]                        Folder that holds `engine/`, relative to the page; default:
 *                                                        beside `api/`.
 * @property {AbortSignal} [signal]                       Ends what is being opened or loaded.
 *
 * @typedef {Blob | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement | VideoFrame | ImageBitmap |
 *   ImageData | string | URL} ImageLike
 */

/** Of each lab: the model on it, how many images it was given, and the end of what it does now. */
const states = new WeakMap();

const nothing = () => {};

/** Does `work` after all that was asked of this lab before. */
function turn(state, work) {
  const mine = state.last.then(work);
  state.last = mine.then(nothing, nothing);
  return mine;
}

/** One engine in one worker. Every method rejects with an `Error` that carries the engine's sentence. */
export class Lab {
  #worker;
  #waiting = new Map();
  #next = 1;
  #ended = null;
  #options;

  /** What computes: `{ kind, device, software, f16, max_binding_bytes }`. */
  engine = null;
  /** The kernels' comparison with their twins at the start: `{ kernels: [{ name, max_error, tolerance, passed }] }`. */
  kernels = null;

  /** Use {@link Lab.open}. */
  constructor(kind, options) {
    this.#options = options;
    states.set(this, { model: null, images: 0, last: Promise.resolve() });
    if (!options.base && !import.meta.url) {
      throw new Error("This bundle does not know where it came from: give the option base, the folder that holds engine/.");
    }
    const base = options.base ? folder(options.base) : new URL("../", import.meta.url);
    const entry = new URL("engine/worker.js", base).href;
    // From a blob, so that the page's Content-Security-Policy holds inside the worker as well.
    const source = `import { serve } from ${JSON.stringify(entry)}; serve(${JSON.stringify(kind)});`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(url, { type: "module", name: `lab-${kind}` });
    this.#worker.onmessage = ({ data }) => {
      URL.revokeObjectURL(url);
      this.#hear(JSON.parse(data.text), data.attachments ?? []);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      URL.revokeObjectURL(url);
      const why = event.message || `${entry} could not be loaded`;
      this.#end(
        new Error(
          `The engine's worker did not start: ${why}. Check that the file lies there (option base), that another host ` +
            "lets pages read it (CORS), and that the page's policy has its host in script-src, worker-src and connect-src, " +
            "and blob: in worker-src.",
        ),
      );
    };
  }

  /**
   * Opens an engine.
   * @param {Options} [options]
   * @returns {Promise<Lab>}
   */
  static async open(options = {}) {
    check(options);
    const wanted = options.engine ?? "auto";
    if (wanted !== "auto") return Lab.#start(wanted, options);
    if (await hasGpu()) {
      try {
        const lab = await Lab.#start("gpu", options);
        if (!lab.engine.software) return lab;
        lab.close();
      } catch (error) {
        options.signal?.throwIfAborted();
        (options.onWarning ?? console.warn)(`${error.message} The CPU engine takes over.`);
      }
    }
    return Lab.#start("cpu", options);
  }

  static async #start(kind, options) {
    options.signal?.throwIfAborted();
    const lab = new Lab(kind, options);
    return until(options.signal, lab, async () => {
      const { event } = await lab.ask({ do: "start", protocol: PROTOCOL });
      if (event.protocol !== PROTOCOL) {
        throw new Error(
          `The engine speaks protocol ${event.protocol}, this file speaks ${PROTOCOL}: reload without the cache.`,
        );
      }
      lab.engine = event.engine;
      lab.kernels = event.self_check;
      return lab;
    });
  }

  /**
   * Sends one command of `protocol/src/lib.rs` and waits for its answer.
   * @param {object} command
   * @param {any[]} [attachments]
   * @returns {Promise<{ event: any, attachments: any[] }>}
   */
  ask(command, attachments = []) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#next++;
    const transfer = attachments.filter((item) => "OffscreenCanvas" in globalThis && item instanceof OffscreenCanvas);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ text: JSON.stringify({ id, command }), attachments }, transfer);
    });
  }

  /**
   * Compares each kernel with its twin in tensor operations.
   * @returns {Promise<{ kernels: { name: string, max_error: number, tolerance: number, passed: boolean }[] }>}
   */
  async selfCheck() {
    return (await this.ask({ do: "self_check" })).event.self_check;
  }

  /**
   * Runs the inputs of an `io.safetensors` through the model beside it and compares every stored output.
   * @param {File[] | FileList} files `config.json`, `model.safetensors` and `io.safetensors`.
   * @param {{ atol?: number, rtol?: number }} [limits] Default 1e-4 each; an element must keep one of them.
   */
  async parity(files, { atol = 1e-4, rtol = 1e-4 } = {}) {
    if (!listed(files)) {
      throw new Error(`Expected a list of files: config.json, model.safetensors and io.safetensors; found ${found(files)}.`);
    }
    const { report } = (await this.ask({ do: "parity", atol, rtol }, [...files])).event;
    const passed = report.tensors.length > 0 && report.tensors.every((tensor) => tensor.passed);
    return { ...report, passed };
  }

  /**
   * Fetches a model into this site's own file system: resumed where it was cut, held to its SHA-256, and loaded without
   * a network from then on by `Model.on(lab, kept)`.
   * @param {string} source A Hugging Face repository (`facebook/dinov2-small`), or the address of a folder or a file of
   *   weights; behind `#sha256=` may stand the hash of the weights.
   * @param {{ mirror?: string }} [options] `mirror`: another hub's address.
   * @returns {Promise<{ key: string, name: string, files: { name: string, bytes: number, sha256: string }[] }>}
   */
  async keep(source, { mirror = "" } = {}) {
    if (typeof source !== "string" && kindOf(source) !== "URL") {
      throw new Error(`Nothing can be kept from this: expected a repository's name or an address; found ${found(source)}.`);
    }
    return (await this.ask({ do: "storage", ask: "fetch", source, mirror })).event.model;
  }

  /** What is kept: `{ models, usage, quota }`. */
  async kept() {
    const { models, usage, quota } = (await this.ask({ do: "storage", ask: "list" })).event;
    return { models, usage, quota };
  }

  /** Throws a kept model away. */
  async discard(key) {
    if (typeof key !== "string") throw new Error(`Expected the key of a kept model, as lab.kept() lists it; found ${found(key)}.`);
    await this.ask({ do: "storage", ask: "delete", key });
  }

  /**
   * The engine's memory in bytes, 0 where nobody tells: `taken` of `most` in the worker, `gpu` set aside on the GPU,
   * `piece` the largest tensor that it takes, `machine` about what the machine has.
   */
  async memory() {
    return (await this.ask({ do: "memory" })).event.memory;
  }

  /** Ends the worker and frees its memory. What still waits is rejected. */
  close() {
    this.#end(new Error("The lab was closed: open another, by Lab.open or Model.load."));
  }

  #hear({ reply_to, event }, attachments) {
    if (event.event === "progress") return this.#options.onProgress?.(event);
    const warn = this.#options.onWarning ?? console.warn;
    if (event.event === "warning") return warn(event.message);
    if (event.event === "replaced") {
      return warn(`These kernels gave wrong numbers on this device and were replaced by their twins: ${event.kernels.join(", ")}.`);
    }
    if ((event.event === "failed" && reply_to === null) || event.event === "lost") return this.#end(new Error(event.message));
    const waiting = this.#waiting.get(reply_to);
    this.#waiting.delete(reply_to);
    if (event.event === "failed") waiting?.reject(new Error(event.message));
    else waiting?.resolve({ event, attachments });
  }

  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** A model on an engine of its own. */
export class Model {
  #lab;

  /** What the model is: `{ name, family, embed_dim, depth, num_heads, patch_size, img_size, parameters, … }`. */
  info;

  constructor(lab, info) {
    this.#lab = lab;
    this.info = info;
  }

  /** The engine below. */
  get lab() {
    return this.#lab;
  }

  /**
   * Opens an engine and loads a model.
   * @param {string | URL | File[] | FileList} source The address of a folder that holds `config.json` and
   *   `model.safetensors` (or shards with an index), the files themselves, or "builtin" for the tiny untrained model.
   * @param {Options} [options]
   * @returns {Promise<Model>}
   */
  static async load(source, options = {}) {
    const wanted = loading(source);
    const lab = await Lab.open(options);
    return until(options.signal, lab, () => Model.#loaded(lab, wanted));
  }

  /**
   * Loads a model on an engine that is open; the model before it is forgotten, and rejects what it is asked from then on.
   * @param {Lab} lab
   * @param {string | URL | File[] | FileList | { key: string }} source As for `load`, or what `lab.keep` gave.
   * @returns {Promise<Model>}
   */
  static async on(lab, source) {
    if (!states.has(lab)) {
      throw new Error(`Expected an open engine first, from Lab.open or a model's lab; found ${found(lab)}.`);
    }
    return Model.#loaded(lab, loading(source));
  }

  static #loaded(lab, { command, files }) {
    const state = states.get(lab);
    return turn(state, async () => {
      const { event } = await lab.ask(command, files);
      return (state.model = new Model(lab, event.model));
    });
  }

  /**
   * Computes the tokens of an image.
   * @param {ImageLike} image
   * @returns {Promise<Embedding>}
   */
  async embed(image) {
    const blob = await toBlob(image);
    const state = states.get(this.#lab);
    // One after another, so that a hundred photographs do not wait inside the engine's memory.
    return turn(state, () => this.#embed(blob, state));
  }

  async #embed(blob, state) {
    if (state.model !== this) {
      throw new Error(
        `${this.info.name || "This model"} is no longer on its engine, Model.on has put ${state.model?.info.name || "another"} ` +
          "there: ask that one, or give each model an engine of its own by Model.load.",
      );
    }
    const number = (state.images = (state.images + 1) >>> 0);
    const add = (blob) => this.#lab.ask({ do: "add_image", image: number, name: blob.name || `image ${number}` }, [blob]);
    try {
      await add(blob);
    } catch (error) {
      const pixels = UNREAD.test(error.message) ? await drawn(blob) : null;
      if (!pixels) throw error;
      await add(pixels);
    }
    try {
      const { event, attachments } = await this.#lab.ask({ do: "embed", image: number, patches: true });
      return {
        cls: new Float32Array(attachments[0]),
        patches: new Float32Array(attachments[1]),
        grid: event.grid,
        dim: event.dim,
        millis: event.millis,
      };
    } finally {
      this.#lab.ask({ do: "remove_image", image: number }).catch(() => {});
    }
  }

  /** {@link Lab#parity}, on this model's engine. The engine keeps this model. */
  parity(files, limits) {
    return this.#lab.parity(files, limits);
  }

  /** Ends the engine. */
  close() {
    this.#lab.close();
  }
}

/**
 * The cosine of two vectors; NaN where one is all zeros.
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
export function cosine(a, b) {
  if (!(a?.length > 0) || a.length !== b?.length) {
    const of = (vector) => (vector?.length >= 0 ? `${vector.length} numbers` : found(vector));
    throw new Error(
      `Expected two vectors of one length, such as the cls of two embeddings by one model; found ${of(a)} and ${of(b)}.`,
    );
  }
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return dot / Math.sqrt(aa * bb);
}

/** Whether a GPU that is no imitation answers; a thorough answer comes from the engine itself. */
async function hasGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false);
  } catch {
    return false;
  }
}

/** What relative addresses are relative to. A worker made from a blob has no folder of its own. */
const here = () =>
  globalThis.document?.baseURI ?? (location.protocol === "blob:" ? `${location.origin}/` : location.href);

/** The option `base`, with the slash that makes it a folder. */
function folder(base) {
  try {
    return new URL(String(base).replace(/\/?$/, "/"), here());
  } catch {
    throw new Error(`The option base is no address: expected that of the folder that holds engine/; found "${base}".`);
  }
}

/** What a value is, in a word or two. */
function found(value) {
  if (value === null || value === undefined) return String(value);
  const kind = kindOf(value);
  return kind === "Object" || typeof value !== "object" ? `a value of type ${typeof value}` : `one ${kind}`;
}

/** The name of a value's class, also where it comes from another frame, and in a worker, which lacks most of them. */
const kindOf = (value) => Object.prototype.toString.call(value).slice(8, -1);

const isFile = (value) => ["Blob", "File"].includes(kindOf(value));

/** As a list, if it is one. */
const listed = (value) => (typeof value === "object" && value?.[Symbol.iterator] ? [...value] : null);

/** Each option: what it must be, and whether a value is that. */
const OPTIONS = {
  engine: ['"auto", "cpu" or "gpu"', (value) => ["auto", "cpu", "gpu"].includes(value)],
  onProgress: ["a function", (value) => typeof value === "function"],
  onWarning: ["a function", (value) => typeof value === "function"],
  base: ["the address of a folder", (value) => typeof value === "string" || kindOf(value) === "URL"],
  signal: ["an AbortSignal", (value) => kindOf(value) === "AbortSignal"],
};

function check(options) {
  const names = Object.keys(OPTIONS).join(", ");
  if (typeof options !== "object" || options === null) {
    throw new Error(`Expected options as an object with any of ${names}; found ${found(options)}.`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) throw new Error(`Unknown option "${name}": expected any of ${names}.`);
    const [expected, fits] = OPTIONS[name];
    if (value === undefined || fits(value)) continue;
    const shown = typeof value === "string" ? `"${value}"` : found(value);
    throw new Error(`The option ${name} is ${shown}: expected ${expected}.`);
  }
}

/** Does `work` on a lab, which ends where that fails or `signal` says so. */
async function until(signal, lab, work) {
  const stop = () => lab.close();
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    lab.close();
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** What `Model.load` and `Model.on` were given, as a command and its files. */
function loading(source) {
  const load = (source, files = []) => ({ command: { do: "load_model", source }, files });
  if (typeof source === "string" || kindOf(source) === "URL") {
    if (String(source) === "builtin") return load({ from: "built_in" });
    try {
      return load({ from: "url", url: new URL(source, here()).href });
    } catch {
      throw new Error(`"${source}" is no address: expected that of a folder with config.json and model.safetensors.`);
    }
  }
  if (typeof source?.key === "string") return load({ from: "stored", key: source.key });
  const files = listed(source);
  if (!files?.every(isFile)) {
    throw new Error(
      "No model can be loaded from this: expected the address of a folder, a list of files, what lab.keep gave or " +
        `"builtin"; found ${files ? "a list of something else" : found(source)}.`,
    );
  }
  return load({ from: "files" }, files);
}

/** What the engine says of a file in a format that it does not read (`core/src/error/image.rs`). */
const UNREAD = /not an image we read/;

/** A picture on white, as a PNG. */
function paint(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  return canvas.convertToBlob();
}

/** A picture that the browser shows and the engine does not read (AVIF, SVG), as a PNG on white; else null. */
async function drawn(blob) {
  if (blob.type.startsWith("image/svg")) {
    // Only an element draws these.
    if (!globalThis.document) throw new Error("An SVG is drawn by a page and not by a worker: give this one its pixels.");
    const picture = new Image();
    picture.src = URL.createObjectURL(blob);
    try {
      await picture.decode();
      return await paint(picture, picture.naturalWidth, picture.naturalHeight);
    } catch {
      return null;
    } finally {
      URL.revokeObjectURL(picture.src);
    }
  }
  try {
    const picture = await createImageBitmap(blob);
    return await paint(picture, picture.width, picture.height);
  } catch {
    return null;
  }
}

/** What holds pixels: its width and height, and what to do where it has none. */
const PIXELS = {
  HTMLCanvasElement: (canvas) => [canvas.width, canvas.height, "give it a width and a height, and draw on it first"],
  OffscreenCanvas: (canvas) => [canvas.width, canvas.height, "give it a width and a height, and draw on it first"],
  ImageBitmap: (bitmap) => [bitmap.width, bitmap.height, "it was closed or sent elsewhere; await embed before that"],
  ImageData: (data) => [data.width, data.height, "give one with pixels"],
  HTMLVideoElement: (video) => [
    video.readyState > 1 ? video.videoWidth : 0,
    video.readyState > 1 ? video.videoHeight : 0,
    "wait for its event loadeddata",
  ],
  VideoFrame: (frame) => [frame.displayWidth, frame.displayHeight, "it was closed; await embed before that"],
};

/** What to give instead of what often comes. */
const INSTEAD = {
  Array: " Give one at a time: Promise.all(images.map((image) => model.embed(image))).",
  FileList: " Give one at a time: Promise.all([...files].map((file) => model.embed(file))).",
  ArrayBuffer: " Give new Blob([bytes]).",
  Uint8Array: " Give new Blob([bytes]).",
  Response: " Give await response.blob().",
};

/** Files go as they are, so that the engine decodes their very bytes; pixels go as a lossless PNG. */
async function toBlob(image) {
  const kind = kindOf(image);
  if (isFile(image)) return image;
  if (typeof image === "string" || kind === "URL") return fetchBlob(image);
  if (kind === "HTMLImageElement") return ofElement(image);
  if (!Object.hasOwn(PIXELS, kind)) {
    throw new Error(
      "There is no picture in this: expected an <img>, a canvas, a <video>, a Blob or File, an ImageBitmap, ImageData, a " +
        `VideoFrame or an address; found ${found(image)}.${INSTEAD[kind] ?? ""}`,
    );
  }
  const [width, height, todo] = PIXELS[kind](image);
  if (!(width > 0 && height > 0)) throw new Error(`There is no picture in this ${kind}: ${todo}.`);
  try {
    if (kind === "HTMLCanvasElement") return await canvasBlob(image);
    if (kind === "OffscreenCanvas") return await image.convertToBlob();
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    if (kind === "ImageData") context.putImageData(image, 0, 0);
    else context.drawImage(image, 0, 0, width, height);
    return await canvas.convertToBlob();
  } catch (error) {
    throw unreadable(kind, width, height, error);
  }
}

const canvasBlob = (canvas) =>
  new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser made no PNG of it")))),
  );

/** Why the pixels of an element, a canvas or a frame did not come. */
function unreadable(kind, width, height, error) {
  const todo =
    error.name === "SecurityError"
      ? "a picture from another site was drawn there; its server must allow that (CORS), and its element needs crossorigin"
      : "draw on it first, and at a size that the browser's canvases have";
  return new Error(`The pixels of this ${kind} of ${width} x ${height} cannot be read (${error.message}): ${todo}.`);
}

/** The bytes behind an `<img>`; where nobody gives them any more, such as those of a revoked `blob:`, its pixels. */
async function ofElement(image) {
  const address = image.currentSrc || image.src;
  if (!address) throw new Error("There is no picture in this HTMLImageElement: give it a src first.");
  try {
    return await fetchBlob(address);
  } catch (error) {
    if (!image.complete || !image.naturalWidth) throw error;
    try {
      return await paint(image, image.naturalWidth, image.naturalHeight);
    } catch {
      throw error;
    }
  }
}

async function fetchBlob(address) {
  const shown = String(address).slice(0, 200);
  if (!shown) throw new Error("The address of the image is empty: give that of a picture.");
  let url;
  try {
    url = new URL(address, here());
  } catch {
    throw new Error(`"${shown}" is no address: expected that of a picture.`);
  }
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(
      `The image at ${shown} could not be fetched (${error.message}): nothing answers there, its server does not let this ` +
        "page read it (CORS), or the page's policy does not (connect-src).",
    );
  }
  if (!response.ok) throw new Error(`The image at ${shown} answered ${response.status}: give the address of a picture.`);
  const blob = await response.blob();
  return new File([blob], shown, { type: blob.type });
}
