// The engine's worker: loads the wasm of one engine, hands it the page's messages one after another, and carries its
// answers home. It knows the envelope `{ text, attachments }` of `protocol/src/lib.rs` and just enough of the words
// inside to answer when the engine cannot: a wasm file that is missing, a panic, a picture nobody waits for any more.
//
// The page starts it with `import { serve } from ".../engine/worker.js"; serve("cpu")` out of a `blob:` module, because
// a worker made from a blob inherits the page's Content-Security-Policy on every server, and one made from a file
// only has the policy that the server sends along with it (docs/decisions/0007-nothing-leaves.md).

const FOLDERS = { cpu: "./cpu/lab_worker.js", gpu: "./gpu/lab_worker.js" };

/** Without a request for so many milliseconds what will be asked first is computed ahead. */
const IDLE = 300;

/** The last line on the console, which is where a panic leaves its message. */
let lastError = "";

/** @param {"cpu" | "gpu"} kind Which engine to load. */
export function serve(kind) {
  /** @type {{ text: string, attachments: any[], request: any }[]} */
  const queue = [];
  let engine = null;
  let store = null;
  let busy = false;
  /** Requests of the store that came before there was one. */
  let early = [];
  let stopped = false;
  let idle = 0;

  const post = (text, attachments = []) =>
    self.postMessage({ text, attachments }, attachments.filter((item) => item instanceof ArrayBuffer));
  const say = (reply_to, event) => post(JSON.stringify({ reply_to, event }));

  /** Without a number to reply to, `failed` means that the engine itself has ended. */
  const stop = (error) => {
    if (stopped) return;
    stopped = true;
    say(null, { event: "failed", message: sentence(kind, error) });
  };

  const keep = console.error;
  console.error = (...words) => {
    lastError = words.map(String).join(" ");
    keep.apply(console, words);
  };
  // A panic inside a task that wasm spawned reaches nobody's `await`: it arrives here.
  self.addEventListener("error", (event) => stop(event.error ?? event.message));
  self.addEventListener("unhandledrejection", (event) => stop(event.reason));

  self.onmessage = ({ data }) => {
    const request = JSON.parse(data.text);
    // The store works beside the engine: a download does not hold up a picture.
    if (request.command?.do === "storage") return void keep_house({ text: data.text, attachments: data.attachments ?? [], request });
    queue.push({ text: data.text, attachments: data.attachments ?? [], request });
    clearTimeout(idle);
    pump();
  };

  async function keep_house(next) {
    if (!store) return void early.push(next);
    try {
      await store.handle(next.text, next.attachments, post);
    } catch (error) {
      if (isTrap(error)) stop(error);
      else say(next.request.id, { event: "failed", message: message(error) });
    }
  }

  async function pump() {
    if (busy || stopped || !engine) return;
    busy = true;
    while (queue.length > 0 && !stopped) {
      const next = queue.shift();
      // Latest wins: a picture that a later command paints over is not drawn.
      if (superseded(next.request, queue)) {
        say(next.request.id, { event: "done" });
        continue;
      }
      try {
        await engine.handle(next.text, next.attachments, post);
      } catch (error) {
        if (isTrap(error)) stop(error);
        else say(next.request.id, { event: "failed", message: message(error) });
      }
    }
    busy = false;
    rest(IDLE);
  }

  /** Works ahead after a while, a step at a time: a request waits for one step at most. */
  function rest(millis) {
    clearTimeout(idle);
    idle = setTimeout(ahead, millis);
  }

  async function ahead() {
    if (busy || stopped || !engine) return;
    busy = true;
    let more = false;
    try {
      more = await engine.warm(post);
    } catch (error) {
      stop(error);
    }
    busy = false;
    if (queue.length > 0) pump();
    else if (more) rest(0);
  }

  (async () => {
    try {
      const url = new URL(FOLDERS[kind], import.meta.url);
      const module = await import(url.href);
      await module.default();
      store = new module.Store();
      early.splice(0).forEach(keep_house);
      engine = await module.Engine.open();
      pump();
    } catch (error) {
      stop(error);
    }
  })();
}

/** Whether a later picture for the same canvas waits behind this one. */
function superseded({ command }, queue) {
  const canvas = shown(command);
  return canvas !== null && queue.some(({ request }) => shown(request.command) === canvas);
}

/** The canvas that a command draws on; rooms have `show` commands of their own. */
function shown(command) {
  return command?.do === "show" || command?.[command.do] === "show" ? command.canvas : null;
}

/** A trap leaves the wasm's memory in an unknown state: nothing more may be asked of it. */
function isTrap(error) {
  return error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
}

function message(error) {
  return typeof error === "string" ? error : (error?.message ?? String(error));
}

function sentence(kind, error) {
  const text = message(error);
  if (error instanceof WebAssembly.RuntimeError && lastError) return `The engine stopped: ${lastError.split("\n")[0]}`;
  if (/content security|unsafe-eval|by CSP/i.test(text)) {
    return `The browser may not run WebAssembly here (${text}). Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy.`;
  }
  if (/fetch|import|404|MIME|module script/i.test(text)) {
    return (
      `The ${kind} engine could not be loaded (${text}). Check that engine/${kind}/ lies beside the page, and that the ` +
      "page's policy has its host in connect-src."
    );
  }
  if (/memory|allocation/i.test(text)) {
    return `The engine ran out of memory (${text}). Close other tabs or take a smaller model.`;
  }
  return `The engine stopped: ${text}`;
}
