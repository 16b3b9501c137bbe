//! How pictures become the model's input, with what the command line overrides.

use lab_core::image::Preprocess;
use lab_core::image::preprocess::Resize;

use crate::cli::Convention;

/// The model's own recipe, with another convention or another size where the user asks for one. Mean, deviation and
/// scale stay the model's: they belong to the weights. `img_size` is the side in pixels that the model was made for.
pub(crate) fn choose(own: &Preprocess, img_size: u32, size: Option<u32>, convention: Option<Convention>) -> Preprocess {
    let Some(convention) = convention else {
        return size.map_or_else(|| own.clone(), |size| resized(own, size));
    };
    let size = size.unwrap_or(img_size);
    let shape = match convention {
        // 256 for 224, as DINOv2 evaluates; 592 for 518.
        Convention::ShortCrop => Preprocess::short_side_crop((size * 8).div_ceil(7), size),
        Convention::Direct => Preprocess::direct(size),
        Convention::ShortSide => Preprocess::short_side_equal(size),
    };
    Preprocess { rescale: own.rescale, mean: own.mean, std: own.std, ..shape }
}

/// The same convention at another size: the margin that a crop cuts off stays the same share.
fn resized(own: &Preprocess, size: u32) -> Preprocess {
    let side = |of: u32, crop: u32| {
        let scaled = u64::from(of) * u64::from(size) / u64::from(crop.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    let resize = match (own.resize, own.crop) {
        (Resize::ShortSide(short), Some((width, height))) => Resize::ShortSide(side(short, width.min(height))),
        (Resize::ShortSide(_), None) => Resize::ShortSide(size),
        (Resize::Exact(width, height), Some((crop_width, crop_height))) => {
            Resize::Exact(side(width, crop_width), side(height, crop_height))
        }
        (Resize::Exact(..), None) => Resize::Exact(size, size),
        (Resize::None, Some(_)) => Resize::None,
        // Without a resize and without a crop the size would mean nothing: press into the square.
        (Resize::None, None) => Resize::Exact(size, size),
    };
    Preprocess { resize, crop: own.crop.map(|_| (size, size)), ..own.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_keeps_the_convention() {
        let own = Preprocess::short_side_crop(256, 224);
        assert_eq!(choose(&own, 224, None, None), own);
        assert_eq!(choose(&own, 224, Some(448), None), Preprocess::short_side_crop(512, 448));
        assert_eq!(choose(&Preprocess::direct(224), 224, Some(378), None), Preprocess::direct(378));
    }

    #[test]
    fn a_convention_keeps_the_numbers_of_the_weights() {
        let own = Preprocess { mean: [0.5; 3], std: [0.25; 3], ..Preprocess::direct(224) };
        for (convention, expected) in [
            (Convention::ShortCrop, Preprocess::short_side_crop(256, 224)),
            (Convention::Direct, Preprocess::direct(224)),
            (Convention::ShortSide, Preprocess::short_side_equal(224)),
        ] {
            let chosen = choose(&own, 224, None, Some(convention));
            assert_eq!((chosen.resize, chosen.crop), (expected.resize, expected.crop));
            assert_eq!((chosen.mean, chosen.std), (own.mean, own.std));
        }
        assert_eq!(choose(&own, 224, Some(518), Some(Convention::ShortCrop)).resize, Resize::ShortSide(592));
    }
}
