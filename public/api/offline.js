// Registers the service worker once the page has had its turn, and tells the page how it stands: the event
// `lab-offline` carries "ready" (works without a network from now on) or "update" (a newer version waits).
// `window.lab.update()` lets the newer version take over and opens the page anew.

const tell = (detail) => {
  window.lab.offline = detail;
  window.dispatchEvent(new CustomEvent("lab-offline", { detail }));
};

async function register() {
  // Where there is none (an old browser, a file: address, a test that blocks it) the page works with the network only.
  const registration = await navigator.serviceWorker?.register("./sw.js").catch(() => undefined);
  if (!registration) return;
  const watch = (worker) => {
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && navigator.serviceWorker.controller) tell("update");
      if (worker.state === "activated") tell("ready");
    });
  };
  window.lab.update = () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    registration.waiting?.postMessage("take over");
  };
  watch(registration.installing);
  registration.addEventListener("updatefound", () => watch(registration.installing));
  if (registration.waiting && navigator.serviceWorker.controller) tell("update");
  else if (registration.active) tell("ready");
}

// The first picture comes first.
const later = () => (window.requestIdleCallback ?? setTimeout)(register);
if (document.readyState === "complete") later();
else window.addEventListener("load", later, { once: true });
