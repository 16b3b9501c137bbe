//! The most memory that this process held, where the system tells: Linux, by `/proc/self`.

/// Bytes of this process in memory now.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most of them since the last [`forget_peak`], or since the begin.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// Lets the peak begin anew; without the right to, the old one stands.
pub(crate) fn forget_peak() {
    // proc(5): 5 resets the peak resident set size. Where that is not allowed, the old peak is a bound from above.
    std::fs::write("/proc/self/clear_refs", "5").ok();
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
        // 64 MiB, touched page by page.
        let large: Vec<u8> = (0..64usize << 20).map(|i| (i % 251) as u8).collect();
        assert_eq!(large[300], 49);
        drop(large);
        assert!(peak().expect("Linux tells") >= before + (48 << 20));
        forget_peak();
        assert!(peak().expect("Linux tells") < before + (48 << 20));
    }
}
