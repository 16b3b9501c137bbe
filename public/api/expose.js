// Puts the JavaScript API where the console and tests find it. `debug` is written by the page: the embedding of the
// image on show (`engine`, `image`, `cls`, `dim`, `grid`), and of every image under `debug.images`.
import "./offline.js";
import { Lab, Model, PROTOCOL, cosine } from "./lab.js";

window.lab = { Lab, Model, PROTOCOL, cosine, debug: {} };
