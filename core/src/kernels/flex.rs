//! The CPU's counterpart of `launch.rs`: Flex's tensors as slices, slices as tensors.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Shape, TensorData};

/// The same numbers, row by row and without gaps.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a contiguous f32 tensor.
pub(crate) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32: the doors hand over nothing else")
}

/// The numbers of a tensor of indices.
pub(crate) fn indices(tensor: FlexTensor) -> Vec<usize> {
    let tensor = contiguous(tensor);
    let signed = |id: i64| usize::try_from(id).expect("indices are not negative");
    match tensor.as_slice::<i32>() {
        Some(ids) => ids.iter().map(|&id| signed(id.into())).collect(),
        None => tensor.as_slice::<i64>().expect("indices are i32 or i64").iter().map(|&id| signed(id)).collect(),
    }
}

/// A new tensor that `fill` fills; it begins with zeros.
pub(crate) fn filled(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    from(values, shape)
}

/// A new tensor of these numbers.
pub(crate) fn from(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The sizes of a tensor, as an array.
pub(crate) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    std::array::from_fn(|axis| tensor.layout().shape()[axis])
}

/// The same memory with other sizes, strides and begin, all counted in numbers.
pub(crate) fn view<const D: usize>(
    tensor: &FlexTensor,
    shape: [usize; D],
    strides: [usize; D],
    start: usize,
) -> FlexTensor {
    let strides = strides.iter().map(|&stride| stride as isize).collect();
    let layout = Layout::new(Shape::new(shape), strides, tensor.layout().start_offset() + start);
    tensor.clone().with_layout(layout)
}
