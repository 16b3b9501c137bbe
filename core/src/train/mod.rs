//! Learning: schedules, optimiser, teacher, guard, state, checkpoint, and the step that ties them together.

pub mod event;
