//! A GPU's memory for what is done over and over with the same sizes.
//!
//! Otherwise free memory serves any tensor that is not larger, so that a small one that stays takes a large one's place and
//! the large one asks for more: a step that computes its blocks again took 669 MiB where 145 do. Here a tensor gets
//! memory of exactly its size, which waits for the next of that size (CubeCL's persistent allocations; measurements and
//! other ways: `docs/decisions`).

use burn::tensor::Device;

use super::reserved_bytes;

/// The devices of a run, without autodiff. Dropped after all that lies on them, it gives their memory back.
#[derive(Debug)]
pub struct ExactMemory {
    devices: Vec<Device>,
    /// Bytes that were set aside when it was no more than a step needs; `None` before that is known.
    settled: Option<u64>,
}

impl ExactMemory {
    /// Of one device.
    pub fn new(device: &Device) -> Self {
        Self { devices: vec![device.clone()], settled: None }
    }

    /// One device more.
    pub fn add(&mut self, device: &Device) {
        self.devices.push(device.clone());
    }

    /// All of them.
    pub fn devices(&self) -> Vec<Device> {
        self.devices.clone()
    }

    /// After a step like those to come: gives back what was set aside for sizes that do not come again (iBOT masks another
    /// number of patches in every step), once it is a quarter of what a step needs.
    pub fn tidy(&mut self) {
        let now: u64 = self.devices.iter().filter_map(reserved_bytes).sum();
        match self.settled {
            Some(settled) if now > settled + settled / 4 => {
                self.give_back();
                self.settled = None;
            }
            Some(_) => {}
            None => self.settled = Some(now),
        }
    }

    fn give_back(&self) {
        self.devices.iter().for_each(Device::memory_cleanup);
    }
}

impl Drop for ExactMemory {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Runs `work` over `input`; its new tensors on `devices` lie in memory of exactly their sizes.
pub fn run<I: Send, O: Send>(devices: &[Device], input: I, work: &(impl Fn(I) -> O + Send + Sync)) -> O {
    match devices.split_first() {
        Some((first, rest)) => first.memory_persistent_allocations(input, |input| run(rest, input, work)),
        None => work(input),
    }
}
