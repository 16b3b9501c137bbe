//! The engine in a web worker.
