"""torchvision's augmentation on PIL images: augment/augment.safetensors.

`square` [61, 61, 3] and `picture` [70, 97, 3] are RGB bytes. Each case has the bytes `NAME` and the plan that they were
made by, `NAME.plan`, float32: x, y, width, height of the crop, side of the result, mirrored, four pairs of operation
(0 none, 1 brightness, 2 contrast, 3 saturation, 4 hue) and factor, grey, sigma of the blur (0 none), solarised.
Cases called `square.*` are made of `square`, the others of `picture`; `tensor.*` is a result as the model sees it.

    python tests/golden/generate_augment.py tests/golden/augment
"""
import os
import sys

import numpy as np
import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

from common import save_tensors
from preprocess import picture

NONE, BRIGHTNESS, CONTRAST, SATURATION, HUE = range(5)
ADJUST = {
    BRIGHTNESS: F.adjust_brightness,
    CONTRAST: F.adjust_contrast,
    SATURATION: F.adjust_saturation,
    HUE: F.adjust_hue,
}


def exact(value):
    """The nearest number that float32 holds: torch draws its factors there."""
    return float(np.float32(value))


def make(image, rect, size, flip=False, jitter=(), grey=False, blur=0.0, solarize=False):
    """One crop, and its plan."""
    x, y, width, height = rect
    jitter = [(op, exact(factor)) for op, factor in jitter]
    blur = exact(blur)
    out = F.resized_crop(image, y, x, height, width, [size, size], InterpolationMode.BICUBIC)
    out = F.hflip(out) if flip else out
    for op, factor in jitter:
        out = ADJUST[op](out, factor)
    out = F.rgb_to_grayscale(out, 3) if grey else out
    out = F.gaussian_blur(out, [9, 9], [blur, blur]) if blur else out
    out = F.solarize(out, 128) if solarize else out
    pairs = jitter + [(NONE, 0.0)] * (4 - len(jitter))
    plan = [*rect, size, flip, *(value for pair in pairs for value in pair), grey, blur, solarize]
    return out, torch.tensor(plan, dtype=torch.float32)


def main(folder):
    """Write the file."""
    torch.set_num_threads(1)
    square, wide = picture(61, 61, 3), picture(70, 97, 1)
    whole = (0, 0, 61, 61)
    cases = {
        "flip": (square, whole, 61, dict(flip=True)),
        "grey": (square, whole, 61, dict(grey=True)),
        "solarize": (square, whole, 61, dict(solarize=True)),
    }
    for name, op, factors in (
        ("brightness", BRIGHTNESS, (0.6, 0.871, 1.4)),
        ("contrast", CONTRAST, (0.6, 1.133, 1.4)),
        ("saturation", SATURATION, (0.8, 1.071, 1.2)),
        ("hue", HUE, (-0.1, -0.001, 0.037, 0.1)),
    ):
        for factor in factors:
            cases[f"{name}.{factor}"] = (square, whole, 61, dict(jitter=[(op, factor)]))
    for sigma in (0.1, 0.45, 1.1, 2.0):
        cases[f"blur.{sigma}"] = (square, whole, 61, dict(blur=sigma))
    cases = {f"square.{name}": case for name, case in cases.items()}
    cases |= {
        "crop.shrunk": (wide, (5, 3, 83, 61), 32, {}),
        "crop.enlarged": (wide, (61, 40, 17, 23), 48, {}),
        "crop.corner": (wide, (96, 69, 1, 1), 14, {}),
        "crop.kept": (wide, (20, 10, 40, 40), 40, {}),
        "chain.global1": (wide, (11, 0, 70, 66), 56, dict(
            flip=True, jitter=[(HUE, 0.083), (CONTRAST, 1.31), (BRIGHTNESS, 0.72), (SATURATION, 1.15)])),
        "chain.global2": (wide, (0, 9, 97, 61), 56, dict(
            jitter=[(SATURATION, 0.83), (BRIGHTNESS, 1.36), (HUE, -0.061), (CONTRAST, 0.68)], blur=0.9, solarize=True)),
        "chain.local": (wide, (40, 31, 19, 25), 42, dict(
            flip=True, jitter=[(CONTRAST, 0.9), (HUE, -0.04), (SATURATION, 1.2), (BRIGHTNESS, 1.1)], grey=True, blur=1.7)),
        "chain.tiny": (wide, (2, 2, 60, 60), 6, dict(blur=2.0)),
    }
    t = {"square": square, "picture": wide}
    for name, (image, rect, size, more) in cases.items():
        t[name], t[name + ".plan"] = make(image, rect, size, **more)
    tensor = F.normalize(F.to_tensor(t["chain.global1"]), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    t = {k: v if torch.is_tensor(v) else torch.from_numpy(np.asarray(v).copy()) for k, v in t.items()}
    save_tensors(os.path.join(folder, "augment.safetensors"), t | {"tensor.chain.global1": tensor})


if __name__ == "__main__":
    main(sys.argv[1])
