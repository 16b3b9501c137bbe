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
 * @property {string} task   What is being done: "reading weights".
 * @property {number} done   Done so far.
 * @property {number} total  All there is to do; 0 when unknown.
 * @property {string} unit   What is counted: "bytes", "tensors", "kernels".
 *
 * @typedef {object} Options
 * @property {"auto" | "cpu" | "gpu"} [engine]            Default "auto": WebGPU where a real GPU answers, else CPU.
 * @property {(progress: Progress) => void} [onProgress]  Called while something long moves on.
 * @property {(message: string) => void} [onWarning]      Called with one sentence; default `console.warn`.
 * @property {string | URL} [base]                        Folder that holds `engine/`; default: beside `api/`.
 *
 * @typedef {Blob | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | ImageBitmap | ImageData | string | URL} ImageLike
 */

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
    const base = new URL(options.base ?? "../", import.meta.url);
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
      this.#end(new Error(`The engine's worker did not start: ${event.message || `${entry} could not be loaded`}.`));
    };
  }

  /**
   * Opens an engine.
   * @param {Options} [options]
   * @returns {Promise<Lab>}
   */
  static async open(options = {}) {
    const wanted = options.engine ?? "auto";
    if (!["auto", "cpu", "gpu"].includes(wanted)) {
      throw new Error(`Unknown engine "${wanted}": expected "auto", "cpu" or "gpu".`);
    }
    if (wanted !== "auto") return Lab.#start(wanted, options);
    if (await hasGpu()) {
      try {
        const lab = await Lab.#start("gpu", options);
        if (!lab.engine.software) return lab;
        lab.close();
      } catch (error) {
        (options.onWarning ?? console.warn)(`${error.message} The CPU engine takes over.`);
      }
    }
    return Lab.#start("cpu", options);
  }

  static async #start(kind, options) {
    const lab = new Lab(kind, options);
    try {
      const { event } = await lab.ask({ do: "start", protocol: PROTOCOL });
      if (event.protocol !== PROTOCOL) {
        throw new Error(
          `The engine speaks protocol ${event.protocol}, this file speaks ${PROTOCOL}: reload without the cache.`,
        );
      }
      lab.engine = event.engine;
      lab.kernels = event.self_check;
      return lab;
    } catch (error) {
      lab.close();
      throw error;
    }
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
    return (await this.ask({ do: "storage", ask: "fetch", source, mirror })).event.model;
  }

  /** What is kept: `{ models, usage, quota }`. */
  async kept() {
    const { models, usage, quota } = (await this.ask({ do: "storage", ask: "list" })).event;
    return { models, usage, quota };
  }

  /** Throws a kept model away. */
  async discard(key) {
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
    this.#end(new Error("The lab was closed."));
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
  #images = 0;

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
   * @param {string | URL | File[] | FileList} [source] The address of a folder that holds `config.json` and
   *   `model.safetensors` (or shards with an index), the files themselves, or nothing for the built-in tiny model.
   * @param {Options} [options]
   * @returns {Promise<Model>}
   */
  static async load(source = "builtin", options = {}) {
    const wanted = loading(source);
    const lab = await Lab.open(options);
    try {
      return await Model.#loaded(lab, wanted);
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /**
   * Loads a model on an engine that is open; the model before it is forgotten.
   * @param {Lab} lab
   * @param {string | URL | File[] | FileList | { key: string }} [source] As for `load`, or what `lab.keep` gave.
   * @returns {Promise<Model>}
   */
  static async on(lab, source = "builtin") {
    return Model.#loaded(lab, loading(source));
  }

  static async #loaded(lab, { command, files }) {
    const { event } = await lab.ask(command, files);
    return new Model(lab, event.model);
  }

  /**
   * Computes the tokens of an image.
   * @param {ImageLike} image
   * @returns {Promise<Embedding>}
   */
  async embed(image) {
    const number = (this.#images = (this.#images + 1) >>> 0);
    const blob = await toBlob(image);
    const add = (blob) => this.#lab.ask({ do: "add_image", image: number, name: blob.name ?? `image ${number}` }, [blob]);
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
      if (number) this.#lab.ask({ do: "remove_image", image: number }).catch(() => {});
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
 * The cosine of two embeddings.
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
export function cosine(a, b) {
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

/** What `Model.load` and `Model.on` were given, as a command and its files. */
function loading(source) {
  const load = (source, files = []) => ({ command: { do: "load_model", source }, files });
  if (typeof source === "string" || source instanceof URL) {
    if (String(source) === "builtin") return load({ from: "built_in" });
    try {
      return load({ from: "url", url: new URL(source, location.href).href });
    } catch {
      throw new Error(`"${source}" is no address: expected that of a folder with config.json and model.safetensors.`);
    }
  }
  if (typeof source?.key === "string") return load({ from: "stored", key: source.key });
  const files = typeof source?.[Symbol.iterator] === "function" ? [...source] : null;
  if (!files?.every((file) => file instanceof Blob)) {
    const found = files ? "a list of something else" : source === null ? "null" : `a value of type ${typeof source}`;
    throw new Error(
      "No model can be loaded from this: expected the address of a folder, a list of files, what lab.keep gave or " +
        `"builtin"; found ${found}.`,
    );
  }
  return load({ from: "files" }, files);
}

/** What the engine says of a file in a format that it does not read (`core/src/error/image.rs`). */
const UNREAD = /not an image we read/;

/** A picture that the browser shows and the engine does not read (AVIF, SVG), as a PNG on white; else null. */
async function drawn(blob) {
  const paint = (picture, width, height) => {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(picture, 0, 0);
    return canvas.convertToBlob();
  };
  if (blob.type.startsWith("image/svg")) {
    // Only an element draws these.
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

/** Files go as they are, so that the engine decodes their very bytes; pixels go as a lossless PNG. */
async function toBlob(image) {
  if (image instanceof Blob) return image;
  if (typeof image === "string" || image instanceof URL) return fetchBlob(String(image));
  if (image instanceof HTMLImageElement && image.currentSrc) return fetchBlob(image.currentSrc);
  if (image instanceof HTMLCanvasElement) {
    return new Promise((resolve, reject) =>
      image.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The canvas is empty.")))),
    );
  }
  if (image instanceof OffscreenCanvas) return image.convertToBlob();
  if (!(image?.width > 0 && image?.height > 0)) {
    throw new Error(
      "There is no picture in this: expected an <img> that has loaded, a canvas, a Blob or File, an ImageBitmap, " +
        "ImageData or an address.",
    );
  }
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  if (image instanceof ImageData) context.putImageData(image, 0, 0);
  else context.drawImage(image, 0, 0);
  return canvas.convertToBlob();
}

async function fetchBlob(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`The image at ${url} could not be fetched (${error.message}).`);
  }
  if (!response.ok) throw new Error(`The image at ${url} answered ${response.status} ${response.statusText}.`);
  return response.blob();
}
