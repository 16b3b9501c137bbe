use lab_core::kernels::mode::{self, Kernel};
use lab_core::kernels::self_check;
use lab_tests::{cpu, gpu};

#[test]
fn every_kernel_passes_on_this_device() {
    let gpu = gpu();
    let report = pollster::block_on(self_check::run(&gpu.device)).expect("the device answers");
    assert_eq!(report.kernels.len(), Kernel::ALL.len());
    assert!(report.replaced().is_empty(), "{report:?}");
    assert!(Kernel::ALL.iter().all(|&kernel| mode::runs(kernel, &gpu.device)));
}

#[test]
fn the_cpu_has_nothing_to_check() {
    let report = pollster::block_on(self_check::run(&cpu())).expect("the CPU answers");
    assert!(report.kernels.is_empty());
}
