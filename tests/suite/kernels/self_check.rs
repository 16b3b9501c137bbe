use burn::tensor::Device;
use lab_core::kernels::attention::HEAD_DIMS;
use lab_core::kernels::mode::{self, Kernel};
use lab_core::kernels::self_check::{self, Extent, is_here};
use lab_tests::{cpu, gpu};

#[test]
fn every_kernel_passes_on_this_device() {
    let gpu = gpu();
    let before = mode::software_adapter();
    // As on a software adapter, and as on a card: products by tiles, attention's gradient by products.
    for software in [true, false] {
        mode::set_software_adapter(software);
        let report = pollster::block_on(self_check::run(&gpu.device, Extent::Whole)).expect("the device answers");
        assert_eq!(report.kernels.len(), Kernel::ALL.into_iter().filter(|&kernel| is_here(kernel)).count());
        assert!(report.replaced().is_empty(), "software {software}: {report:?}");
        assert!(Kernel::ALL.iter().all(|&kernel| mode::runs(kernel, &gpu.device)));
    }
    mode::set_software_adapter(before);
}

#[test]
fn attention_is_checked_at_the_head_dims_that_come() {
    let gpu = gpu();
    for gradients in [false, true] {
        let check = pollster::block_on(self_check::heads(&gpu.device, &HEAD_DIMS[1..3], gradients));
        let [check] = &check.expect("the device answers").kernels[..] else { panic!("the kernel computes these") };
        assert!(check.name == "attention" && check.passed && check.max_error > 0.0, "{check:?}");
    }
    // The reference computes it anyway: nothing to compare.
    let none = |device: &Device, dims: &[usize]| {
        let check = pollster::block_on(self_check::heads(device, dims, true)).expect("the device answers");
        assert_eq!(check.kernels, []);
    };
    none(&gpu.device, &[48]);
    none(&cpu(), &[64]);
    mode::replace(Kernel::Attention, true);
    none(&gpu.device, &[64]);
    mode::replace(Kernel::Attention, false);
}

#[test]
fn the_cpu_has_nothing_to_check() {
    let report = pollster::block_on(self_check::run(&cpu(), Extent::Start)).expect("the CPU answers");
    assert!(report.kernels.is_empty());
}
