var<workgroup> partial_sums: array<f32, 64>;

// The sum over the 64 invocations of a workgroup, the same number in each of them, always added in the same order.
fn sum_of_64(part: f32, index: u32) -> f32 {
    workgroupBarrier();
    partial_sums[index] = part;
    workgroupBarrier();
    for (var stride = 32u; stride > 0u; stride /= 2u) {
        if (index < stride) {
            partial_sums[index] += partial_sums[index + stride];
        }
        workgroupBarrier();
    }
    return partial_sums[0];
}
