"""Pillow's resizing and the conventions built on it: preprocess.safetensors.

`input` and `tiny` are RGB bytes [H, W, 3]; `bicubic.HxW` and `bilinear.HxW` (and `tiny.` those) are Pillow's
bytes after `Image.resize`; `short_crop.*` follow torchvision, shorter side to S, then the central crop;
`normalised` is one of them as the model sees it, float32 [3, H, W].
"""
import os

import numpy as np
import torch
from PIL import Image

from common import save_tensors

MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet
STD = np.array([0.229, 0.224, 0.225], np.float32)


def picture(height, width, seed):
    """Waves, a hard-edged block and noise, clipped at both ends: all that resizing can get wrong."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    wave = lambda c: 70 * np.sin(x / (4 + 3 * c) + c) * np.cos(y / (9 - 2 * c)) + 125
    rgb = np.stack([wave(c) for c in range(3)], -1) + rng.normal(0, 14, (height, width, 3))
    rgb[height // 4 : height // 2, width // 3 : width // 2] += 150
    rgb[height // 2 :, : width // 5] -= 150
    return Image.fromarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8))


def short_side(image, size, mode):
    """The shorter side to `size`, the longer to trunc(size · long / short), as torchvision does."""
    w, h = image.size
    return image.resize((size, int(size * h / w)) if w <= h else (int(size * w / h), size), mode)


def center_crop(image, size):
    """torchvision's offsets: round half to even."""
    w, h = image.size
    x, y = int(round((w - size) / 2.0)), int(round((h - size) / 2.0))
    return image.crop((x, y, x + size, y + size))


def pillow_references(out):
    """Write preprocess.safetensors."""
    bytes_of = lambda image: torch.from_numpy(np.asarray(image).copy())
    modes = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}
    image, tiny = picture(70, 97, 1), picture(5, 3, 2)
    t = {"input": bytes_of(image), "tiny": bytes_of(tiny)}
    for name, mode in modes.items():
        for h, w in ((28, 28), (56, 70), (70, 40), (84, 100), (7, 3), (1, 1)):
            t[f"{name}.{h}x{w}"] = bytes_of(image.resize((w, h), mode))
        for h, w in ((14, 14), (2, 7)):
            t[f"tiny.{name}.{h}x{w}"] = bytes_of(tiny.resize((w, h), mode))
        t[f"short_crop.{name}.32.28"] = bytes_of(center_crop(short_side(image, 32, mode), 28))  # as 256 / 224
        t[f"short_crop.{name}.29.28"] = bytes_of(center_crop(short_side(image, 29, mode), 28))  # an odd margin
    cropped = t["short_crop.bicubic.32.28"].numpy().astype(np.float32)
    t["normalised"] = torch.from_numpy(((cropped / 255 - MEAN) / STD).transpose(2, 0, 1).copy())
    save_tensors(os.path.join(out, "preprocess.safetensors"), t)
