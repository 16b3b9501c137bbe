// The types of lab.js, for TypeScript. tests/e2e/api.test.mjs holds the names here to those there.

/** The version of the protocol between lab.js and its engine. */
export const PROTOCOL: number;

export interface Embedding {
  /**
   * The image's one vector `[dim]`: the class token after the last norm; of CLIP and SigLIP the pooled output; the mean
   * of the patches in a model with neither.
   */
  cls: Float32Array;
  /** The patch tokens `[rows * columns, dim]`, row by row. */
  patches: Float32Array;
  /** Patch rows and columns. */
  grid: [rows: number, columns: number];
  /** Width of an embedding. */
  dim: number;
  /** From pixels to embedding, in milliseconds. */
  millis: number;
}

export interface Progress {
  /** What is being done: "checking kernels", "downloading", "reading weights". */
  task: string;
  /** Done so far; "downloading" begins anew with each file. */
  done: number;
  /** All there is to do; 0 when unknown. */
  total: number;
  /** What is counted: "bytes", "kernels". */
  unit: string;
}

export interface Options {
  /** Default "auto": WebGPU where a real GPU answers, else the CPU. */
  engine?: "auto" | "cpu" | "gpu";
  /** Called while something long moves on. */
  onProgress?: (progress: Progress) => void;
  /** Called with one sentence; default `console.warn`. */
  onWarning?: (message: string) => void;
  /** Folder that holds `engine/`, relative to the page; default: beside `api/`. */
  base?: string | URL;
  /** Ends what is being opened or loaded. */
  signal?: AbortSignal;
}

export type ImageLike =
  | Blob
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame
  | ImageBitmap
  | ImageData
  | string
  | URL;

/**
 * The address of a folder that holds `config.json` and `model.safetensors`, the files themselves, or `"builtin"` for the
 * tiny untrained model.
 */
export type Source = string | URL | readonly Blob[] | FileList;

export interface EngineInfo {
  kind: "cpu" | "gpu";
  /** The adapter's name, or a word about the CPU. */
  device: string;
  /** The adapter only imitates a GPU. */
  software: boolean;
  /** The device computes with 16-bit floats. */
  f16: boolean;
  /** The largest tensor that one binding holds; 0 where there is no such limit. */
  max_binding_bytes: number;
}

export interface SelfCheck {
  /** Empty on the CPU engine, which runs no kernels. */
  kernels: { name: string; max_error: number; tolerance: number; passed: boolean }[];
}

export interface ModelInfo {
  /** Address or file it came from. */
  name: string;
  family: string;
  embed_dim: number;
  depth: number;
  num_heads: number;
  patch_size: number;
  /** Side in pixels of the image that the model receives. */
  img_size: number;
  num_registers: number;
  has_cls: boolean;
  parameters: number;
  /** Bytes of weights on the device. */
  bytes: number;
  /** Weights drawn at random. */
  untrained: boolean;
  /** How pixels are prepared, as one sentence. */
  preprocessing: string;
  decoder: { embed_dim: number; depth: number; grid: [number, number]; norm_pix: boolean } | null;
  /** Sixteen hexadecimal digits of the weights; empty where they were not read. */
  fingerprint: string;
}

export interface Parity {
  passed: boolean;
  tensors: { name: string; shape: number[]; max_abs: number; max_rel: number; passed: boolean }[];
  /** Stored outputs that the model does not compute. */
  not_compared: string[];
  atol: number;
  rtol: number;
}

export interface Kept {
  key: string;
  name: string;
  /** What was asked for: a repository or an address. */
  source: string;
  /** Every file is here and checked. */
  complete: boolean;
  files: { name: string; bytes: number; sha256: string }[];
}

/** One engine in one worker. Every method rejects with an `Error` whose message is a sentence. */
export class Lab {
  private constructor();
  static open(options?: Options): Promise<Lab>;
  /** What computes. */
  readonly engine: EngineInfo;
  /** How each kernel compared with its twin at the start. */
  readonly kernels: SelfCheck;
  /** Sends one command of `protocol/src/lib.rs` and waits for its answer. */
  ask(command: object, attachments?: unknown[]): Promise<{ event: any; attachments: any[] }>;
  selfCheck(): Promise<SelfCheck>;
  /** `config.json`, `model.safetensors` and `io.safetensors`; limits are 1e-4 each, and an element must keep one. */
  parity(files: Iterable<Blob>, limits?: { atol?: number; rtol?: number }): Promise<Parity>;
  /** Fetches a model into this site's own file system. */
  keep(source: string | URL, options?: { mirror?: string }): Promise<Kept>;
  kept(): Promise<{ models: Kept[]; usage: number; quota: number }>;
  discard(key: string): Promise<void>;
  /** In bytes, 0 where nobody tells. */
  memory(): Promise<{ taken: number; most: number; gpu: number; piece: number; machine: number }>;
  /** Ends the worker and frees its memory; what still waits is rejected. */
  close(): void;
}

/** A model on an engine. */
export class Model {
  private constructor();
  /** Opens an engine and loads a model. */
  static load(source: Source, options?: Options): Promise<Model>;
  /** Loads a model on an engine that is open; the model before it is forgotten. */
  static on(lab: Lab, source: Source | { key: string }): Promise<Model>;
  readonly info: ModelInfo;
  /** The engine below. */
  readonly lab: Lab;
  /** One after another, however many are asked for at once. */
  embed(image: ImageLike): Promise<Embedding>;
  parity(files: Iterable<Blob>, limits?: { atol?: number; rtol?: number }): Promise<Parity>;
  /** Ends the engine. */
  close(): void;
}

/** The cosine of two vectors of one length; NaN where one is all zeros. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number;
