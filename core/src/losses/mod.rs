//! The losses, a file each: they take tensors, never models.
