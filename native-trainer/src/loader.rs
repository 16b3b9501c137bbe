//! Decodes on all cores, and hands over in order.
//!
//! Workers take the next image, read, decode and prepare it; the caller receives the results in the order of the
//! inputs while it drives the device. A gate keeps the workers at most `ahead` images in front of the caller, so that
//! memory stays bounded however slow the device is.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The result of preparing one image: the value, or why there is none.
pub(crate) type Prepared<T> = Result<T, String>;

/// Threads that this machine runs at once.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// How the names of the threads that prepare begin.
pub(crate) const DECODES: &str = "decode-";

/// Prepares the items `0..total` on `workers` threads by `prepare`, and gives `consume` the results in order.
///
/// `consume` runs on the calling thread (the only one that may speak to the device) and may stop early.
pub(crate) fn run<T: Send, R>(
    total: usize,
    workers: usize,
    ahead: usize,
    prepare: impl Fn(usize) -> Prepared<T> + Sync,
    consume: impl FnOnce(&mut Ordered<'_, T>) -> R,
) -> R {
    let gate = Gate { state: Mutex::default(), moved: Condvar::new(), total, ahead: ahead.max(1) };
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for number in 0..workers.max(1).min(total.max(1)) {
            let (sender, gate, prepare) = (sender.clone(), &gate, &prepare);
            let worker = thread::Builder::new().name(format!("{DECODES}{number}"));
            // Fewer threads than asked for are slower, not wrong; the first must exist.
            if let Err(error) = worker.spawn_scoped(scope, move || work(gate, &sender, prepare)) {
                assert!(number > 0, "the operating system gives us no thread: {error}");
                break;
            }
        }
        drop(sender);
        let mut ordered = Ordered { gate: &gate, receiver, early: BTreeMap::new(), at: 0, waited: Duration::ZERO };
        // Dropped, also by a panic in `consume`, it stops the workers; else the scope would wait for them forever.
        consume(&mut ordered)
    })
}

fn work<T>(gate: &Gate, sender: &Sender<(usize, Prepared<T>)>, prepare: &impl Fn(usize) -> Prepared<T>) {
    while let Some(index) = gate.claim() {
        // A decoder that panics over a hostile file costs that file, not the run.
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(index)))
            .unwrap_or_else(|_| Err("the decoder broke down over this file; please report it".to_owned()));
        if sender.send((index, prepared)).is_err() {
            return;
        }
    }
}

/// Results in the order of the items.
pub(crate) struct Ordered<'a, T> {
    gate: &'a Gate,
    receiver: Receiver<(usize, Prepared<T>)>,
    early: BTreeMap<usize, Prepared<T>>,
    at: usize,
    waited: Duration,
}

impl<T> Ordered<'_, T> {
    /// How long the caller has waited for the workers so far.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

impl<T> Iterator for Ordered<'_, T> {
    type Item = (usize, Prepared<T>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.gate.total {
            return None;
        }
        let index = self.at;
        let start = Instant::now();
        let prepared = loop {
            if let Some(prepared) = self.early.remove(&index) {
                break prepared;
            }
            match self.receiver.recv() {
                Ok((number, prepared)) => drop(self.early.insert(number, prepared)),
                Err(_) => break Err("the thread that decoded it ended".to_owned()),
            }
        };
        self.waited += start.elapsed();
        self.at += 1;
        self.gate.advance();
        Some((index, prepared))
    }
}

impl<T> Drop for Ordered<'_, T> {
    fn drop(&mut self) {
        self.gate.stop();
    }
}

/// Who may begin which item.
#[derive(Debug)]
struct Gate {
    state: Mutex<State>,
    moved: Condvar,
    total: usize,
    ahead: usize,
}

#[derive(Debug, Default)]
struct State {
    claimed: usize,
    taken: usize,
    stopped: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item to prepare; waits while the workers are far enough ahead. `None` when there is nothing left.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.claimed == self.total {
                return None;
            }
            if state.claimed < state.taken + self.ahead {
                state.claimed += 1;
                return Some(state.claimed - 1);
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn advance(&self) {
        self.lock().taken += 1;
        self.moved.notify_one();
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn order_is_kept_and_errors_stay_in_their_place() {
        for (workers, ahead) in [(1, 1), (3, 2), (8, 64)] {
            let prepare = |index: usize| {
                thread::sleep(Duration::from_micros(((index * 7919) % 13) as u64 * 50));
                if index % 10 == 3 { Err(format!("bad {index}")) } else { Ok(index * 2) }
            };
            let got: Vec<_> = run(100, workers, ahead, prepare, |ordered| ordered.collect());
            assert_eq!(got.len(), 100);
            for (place, (index, prepared)) in got.into_iter().enumerate() {
                assert_eq!(place, index);
                assert_eq!(prepared, if index % 10 == 3 { Err(format!("bad {index}")) } else { Ok(index * 2) });
            }
        }
        assert_eq!(run(0, 4, 4, Ok, |ordered| ordered.count()), 0);
    }

    #[test]
    fn the_workers_run_ahead_only_so_far_and_stop_when_told() {
        let started = AtomicUsize::new(0);
        let prepare = |index: usize| {
            started.fetch_add(1, SeqCst);
            Ok(index)
        };
        run(1000, 4, 8, prepare, |ordered| {
            for taken in 1..=5 {
                ordered.next();
                thread::sleep(Duration::from_millis(5));
                assert!(started.load(SeqCst) <= taken + 8);
            }
            assert!(started.load(SeqCst) >= 8, "they do run ahead");
        });
        assert!(started.load(SeqCst) <= 5 + 8);
    }

    #[test]
    fn a_panic_costs_one_image() {
        let prepare =
            |index: usize| if index == 1 { panic!("a decoder's bug, shown once by this test") } else { Ok(index) };
        let got: Vec<_> = run(3, 2, 2, prepare, |ordered| ordered.map(|(_, prepared)| prepared.is_ok()).collect());
        assert_eq!(got, [true, false, true]);
    }
}
