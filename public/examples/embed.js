// The whole example: load a model, embed two pictures, compare.
import { Lab, Model, cosine } from "../api/lab.js";

const status = document.querySelector("#status");
// For the browser tests, which drive the API from this page.
window.lab = { Lab, Model, cosine };

try {
  // "builtin" is a tiny untrained model; a real one: Model.load("https://…/dinov2-small/resolve/main/"), whose host
  // must stand in connect-src of embed.html.
  const model = await Model.load("builtin", {
    engine: new URLSearchParams(location.search).get("engine") ?? "cpu",
    onProgress: ({ task, done, total, unit }) => (status.textContent = `${task}: ${done} of ${total || "?"} ${unit}`),
  });
  const first = await model.embed(document.querySelector("#first"));
  const second = await model.embed(document.querySelector("#second"));
  const alike = cosine(first.cls, second.cls);
  status.textContent =
    `${model.info.family}, ${first.dim} numbers a picture, ${first.grid.join(" × ")} patches, ` +
    `${first.millis.toFixed(0)} ms. Cosine of the two: ${alike.toFixed(4)}.`;
  window.lab.example = { model, first, second, alike };
} catch (error) {
  status.textContent = error.message;
  window.lab.failure = error.message;
}
