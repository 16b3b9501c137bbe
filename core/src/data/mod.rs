//! What a run learns from: sources of images, their order, crops, masks, batches.
