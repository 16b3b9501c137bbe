//! The most memory that this process held, where the system tells: Linux, by `/proc/self`.

/// Bytes that the allocator keeps beyond what a training step holds, for the next one and in its threads' own pools:
/// 40 to 80 MiB were measured (docs/benchmarks.md, "Memory of a training step").
pub(crate) const KEPT: u64 = 48 << 20;

/// Bytes of this process in memory now.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most of them since the last [`forget_peak`], or since the begin.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// Bytes in memory now that are files', the program's own code among them: it comes in as it is used.
pub(crate) fn of_files() -> Option<u64> {
    status("RssFile:")
}

/// Lets the peak begin anew; without the right to, the old one stands.
pub(crate) fn forget_peak() {
    // proc(5): 5 resets the peak resident set size. Where that is not allowed, the old peak is a bound from above.
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Bytes that a process may take yet, within the limits of its container.
pub(crate) fn available() -> u64 {
    let system = system();
    let limited = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    system.available_memory().min(limited)
}

/// Bytes of the machine, or of the container's share of it.
pub(crate) fn total() -> u64 {
    let system = system();
    system.cgroup_limits().map_or(system.total_memory(), |limits| limits.total_memory)
}

fn system() -> sysinfo::System {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    system
}

fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_and_forgotten() {
        let before = resident().expect("Linux tells");
        // 64 MiB of a thread's stack, touched page by page: unlike the allocator's, they go back when the thread ends.
        let touch = || {
            let mut large = [0u8; 64 << 20];
            large.iter_mut().step_by(4096).for_each(|byte| *byte = 49);
            std::hint::black_box(&large)[4096]
        };
        let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(touch).expect("a thread");
        assert_eq!(thread.join().expect("it ends"), 49);
        assert!(peak().expect("Linux tells") >= before + (48 << 20));
        forget_peak();
        assert!(peak().expect("Linux tells") < before + (48 << 20));
    }
}
