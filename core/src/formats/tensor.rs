//! One tensor as a file holds it: element type, shape, bytes; and its numbers, checked.

use half::{bf16, f16};

use crate::error::FormatError;

/// Element types of checkpoints; little-endian in every file we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit float, IEEE half precision.
    F16,
    /// 16-bit float with the exponent of f32.
    BF16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 64-bit integer.
    U64,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 8-bit integer.
    U8,
    /// One byte, zero or not.
    Bool,
}

impl Dtype {
    /// All of them, for messages and look-ups.
    pub const ALL: [Self; 13] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
        Self::Bool,
    ];

    /// The names of [`Self::ALL`] in one line.
    pub const NAMES: &'static str = "F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL";

    /// What [`Self::is_float`] admits, for messages.
    pub const FLOATS: &'static str = "a floating type: F32, F16, BF16 or F64";

    /// The name that safetensors uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    /// The type that safetensors calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }
}

/// What is known of a tensor without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Bytes when read, in row-major order without gaps.
    pub byte_len: u64,
}

impl Entry {
    /// Rows as [`Checkpoint::read_rows`](super::Checkpoint::read_rows) counts them: the first dimension; one for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Bytes of one row; zero for a tensor without elements.
    pub fn row_bytes(&self) -> u64 {
        self.byte_len / (self.rows().max(1) as u64)
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.byte_len / self.dtype.size() as u64
    }
}

/// A tensor, or some of its rows, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorBytes {
    /// Its name in the checkpoint, for messages.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Elements in row-major order, little-endian, without gaps.
    pub bytes: Vec<u8>,
}

impl TensorBytes {
    /// The numbers as f32, from any floating type.
    ///
    /// # Errors
    /// [`FormatError::WrongDtype`] for integers and booleans, [`FormatError::NonFinite`] for the first NaN
    /// or infinity, also where an F64 lies beyond f32.
    pub fn to_f32(&self) -> Result<Vec<f32>, FormatError> {
        let values: Vec<f32> = match self.dtype {
            Dtype::F32 => self.map(f32::from_le_bytes),
            Dtype::F16 => self.map(|b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => self.map(|b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F64 => self.map(|b| f64::from_le_bytes(b) as f32),
            _ => return Err(self.wrong_dtype(Dtype::FLOATS)),
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => {
                let value = match self.dtype {
                    // As it is stored: finite there, perhaps, and beyond f32.
                    Dtype::F64 => self.map(f64::from_le_bytes)[index],
                    _ => f64::from(values[index]),
                };
                Err(FormatError::NonFinite { tensor: self.name.clone(), index, value })
            }
        }
    }

    /// The numbers as f16: F16 as they are, other floating types rounded to nearest.
    ///
    /// # Errors
    /// As [`Self::to_f32`], and [`FormatError::F16Range`] for a finite number that f16 cannot hold.
    pub fn to_f16(&self) -> Result<Vec<f16>, FormatError> {
        if self.dtype == Dtype::F16 {
            let values: Vec<f16> = self.map(f16::from_le_bytes);
            return match values.iter().position(|value| !value.is_finite()) {
                None => Ok(values),
                Some(index) => {
                    Err(FormatError::NonFinite { tensor: self.name.clone(), index, value: values[index].to_f64() })
                }
            };
        }
        let wide = self.to_f32()?;
        let mut values = Vec::with_capacity(wide.len());
        for (index, &value) in wide.iter().enumerate() {
            let narrow = f16::from_f32(value);
            if !narrow.is_finite() {
                return Err(FormatError::F16Range { tensor: self.name.clone(), index, value: f64::from(value) });
            }
            values.push(narrow);
        }
        Ok(values)
    }

    /// The numbers as f64, from any floating type.
    ///
    /// # Errors
    /// [`FormatError::WrongDtype`] for integers and booleans, [`FormatError::NonFinite`] for the first NaN or infinity.
    pub fn to_f64(&self) -> Result<Vec<f64>, FormatError> {
        if self.dtype != Dtype::F64 {
            return Ok(self.to_f32()?.into_iter().map(f64::from).collect());
        }
        let values: Vec<f64> = self.map(f64::from_le_bytes);
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(FormatError::NonFinite { tensor: self.name.clone(), index, value: values[index] }),
        }
    }

    /// The numbers as i64, from any integer type or booleans.
    ///
    /// # Errors
    /// [`FormatError::WrongDtype`] for floating types, and for a U64 beyond i64.
    pub fn to_i64(&self) -> Result<Vec<i64>, FormatError> {
        Ok(match self.dtype {
            Dtype::I64 => self.map(i64::from_le_bytes),
            Dtype::I32 => self.map(|b| i64::from(i32::from_le_bytes(b))),
            Dtype::I16 => self.map(|b| i64::from(i16::from_le_bytes(b))),
            Dtype::I8 => self.map(|b| i64::from(i8::from_le_bytes(b))),
            Dtype::U32 => self.map(|b| i64::from(u32::from_le_bytes(b))),
            Dtype::U16 => self.map(|b| i64::from(u16::from_le_bytes(b))),
            Dtype::U8 => self.map(|[b]| i64::from(b)),
            Dtype::Bool => self.map(|[b]| i64::from(b != 0)),
            Dtype::U64 => {
                let values: Vec<u64> = self.map(u64::from_le_bytes);
                let narrow = values.into_iter().map(i64::try_from).collect::<Result<_, _>>();
                narrow.map_err(|_| self.wrong_dtype("an integer within the range of I64"))?
            }
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
                return Err(self.wrong_dtype("an integer type or BOOL"));
            }
        })
    }

    fn map<const N: usize, T>(&self, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<N>().0.iter().map(|&chunk| f(chunk)).collect()
    }

    fn wrong_dtype(&self, expected: &'static str) -> FormatError {
        FormatError::WrongDtype { tensor: self.name.clone(), expected, found: self.dtype.name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: Dtype, bytes: Vec<u8>) -> TensorBytes {
        TensorBytes { name: "w".into(), dtype, shape: vec![bytes.len() / dtype.size()], bytes }
    }

    fn le<const N: usize, T: Copy>(values: &[T], f: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|&value| f(value)).collect()
    }

    #[test]
    fn names_and_the_list_of_names_agree() {
        let names: Vec<_> = Dtype::ALL.iter().map(|dtype| dtype.name()).collect();
        assert_eq!(names.join(" "), Dtype::NAMES);
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("F8_E4M3"), None);
    }

    #[test]
    fn every_float_type_becomes_f32() {
        let values = [1.5f32, -2.0, 0.0, 1e-3];
        let f32s = tensor(Dtype::F32, le(&values, f32::to_le_bytes));
        assert_eq!(f32s.to_f32().expect("finite"), values);
        let f64s = tensor(Dtype::F64, le(&values, |v| f64::from(v).to_le_bytes()));
        assert_eq!(f64s.to_f32().expect("finite"), values);
        let f16s = tensor(Dtype::F16, le(&values, |v| f16::from_f32(v).to_le_bytes()));
        assert_eq!(f16s.to_f32().expect("finite"), values.map(|v| f16::from_f32(v).to_f32()));
        assert_eq!(f16s.to_f16().expect("finite"), values.map(f16::from_f32));
        let bf16s = tensor(Dtype::BF16, le(&values, |v| bf16::from_f32(v).to_le_bytes()));
        assert_eq!(bf16s.to_f32().expect("finite"), values.map(|v| bf16::from_f32(v).to_f32()));
        assert_eq!(f32s.to_f16().expect("in range"), values.map(f16::from_f32));
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let f32s = tensor(Dtype::F32, le(&[1.0, bad], f32::to_le_bytes));
            assert!(matches!(f32s.to_f32(), Err(FormatError::NonFinite { index: 1, .. })), "{bad}");
            assert!(matches!(f32s.to_f16(), Err(FormatError::NonFinite { index: 1, .. })), "{bad}");
            let f16s = tensor(Dtype::F16, le(&[1.0, bad], |v| f16::from_f32(v).to_le_bytes()));
            assert!(matches!(f16s.to_f16(), Err(FormatError::NonFinite { index: 1, .. })), "{bad}");
            assert!(matches!(f16s.to_f32(), Err(FormatError::NonFinite { index: 1, .. })), "{bad}");
        }
        let beyond = tensor(Dtype::F64, le(&[0.0, 1e300], f64::to_le_bytes));
        let error = beyond.to_f32().expect_err("beyond f32");
        assert!(matches!(error, FormatError::NonFinite { index: 1, value: 1e300, .. }), "{error}");
        assert!(error.to_string().contains("holds 1e300 at index 1"), "{error}");
        let large = tensor(Dtype::F32, le(&[65504.0f32, 70000.0], f32::to_le_bytes));
        assert!(matches!(large.to_f16(), Err(FormatError::F16Range { index: 1, value: 70000.0, .. })));
    }

    #[test]
    fn integers_are_integers_and_floats_are_not() {
        assert_eq!(tensor(Dtype::Bool, vec![0, 1, 7]).to_i64().expect("bools"), [0, 1, 1]);
        assert_eq!(tensor(Dtype::I8, vec![255]).to_i64().expect("i8"), [-1]);
        assert_eq!(tensor(Dtype::U8, vec![255]).to_i64().expect("u8"), [255]);
        assert_eq!(tensor(Dtype::I16, vec![254, 255]).to_i64().expect("i16"), [-2]);
        assert_eq!(tensor(Dtype::U16, vec![254, 255]).to_i64().expect("u16"), [65534]);
        let i32s = tensor(Dtype::I32, le(&[-5, 9], i32::to_le_bytes));
        assert_eq!(i32s.to_i64().expect("i32"), [-5, 9]);
        assert!(matches!(i32s.to_f32(), Err(FormatError::WrongDtype { found: "I32", .. })));
        let u64s = tensor(Dtype::U64, le(&[u64::MAX], u64::to_le_bytes));
        assert!(matches!(u64s.to_i64(), Err(FormatError::WrongDtype { found: "U64", .. })));
        let f32s = tensor(Dtype::F32, vec![0; 4]);
        assert!(matches!(f32s.to_i64(), Err(FormatError::WrongDtype { found: "F32", .. })));
    }
}
