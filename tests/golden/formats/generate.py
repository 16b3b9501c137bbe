"""Write the goldens of the formats and image tests: what PyTorch and Pillow themselves read and write.

    python generate.py [OUT_DIR]        (default: the folder of this script)

Pinned: pillow 13.0.0, numpy 2.4.6, torch 2.15.0 (CPU is enough), safetensors 0.8.0. Seeded; run it again and nothing changes
but the zip time stamps inside the .pth files.

    preprocess/   input.png (made once by the seeded picture below) and Pillow's resized and cropped bytes as PNG
    images/       tiny pictures of every kind that a folder may hold; NAME.png beside each is what Pillow makes of it;
                  jpeg.json: sizes and CRC-32 of what it makes of the JPEGs and of the page's samples, whole and scaled
    pth/          what torch.save writes, and a hostile pickle
"""

import argparse
import glob
import io
import json
import os
import pickle
import struct
import sys
import zipfile
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = os.path.join(HERE, "../../../public/samples")


# --- preprocessing --------------------------------------------------------------------------------


def picture(rng, w, h):
    """Waves, a bright box and noise: smooth parts, an edge and texture."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    rgb = np.zeros((h, w, 3), np.float32)
    for c in range(3):
        for _ in range(12):
            fx, fy, phase = rng.normal(0, 0.12), rng.normal(0, 0.12), rng.uniform(0, 6.28)
            amplitude = rng.uniform(5, 30)
            rgb[..., c] += amplitude * np.sin(fx * x + fy * y + phase)
    rgb[h // 4 : h // 2, w // 3 : w // 2] += 90
    rgb += rng.normal(0, 12, rgb.shape)
    return Image.fromarray(np.clip(rgb + 120, 0, 255).astype(np.uint8))


def short_side(im, s, mode):
    w, h = im.size
    return im.resize((s, int(s * h / w)) if w <= h else (int(s * w / h), s), mode)


def center_crop(im, s):
    w, h = im.size
    x, y = int(round((w - s) / 2.0)), int(round((h - s) / 2.0))
    return im.crop((x, y, x + s, y + s))


def preprocess(out):
    im = picture(np.random.default_rng(0), 331, 263)
    results = {
        "input": im,
        "short256_bicubic_crop224": center_crop(short_side(im, 256, Image.BICUBIC), 224),
        "short224_bicubic_crop224": center_crop(short_side(im, 224, Image.BICUBIC), 224),
        "square224_bicubic": im.resize((224, 224), Image.BICUBIC),
        "square224_bilinear": im.resize((224, 224), Image.BILINEAR),
        "upscale_square448_bicubic": im.resize((448, 448), Image.BICUBIC),
        "stretched_37x301_bilinear": im.resize((37, 301), Image.BILINEAR),
    }
    for name, result in results.items():
        result.save(os.path.join(out, name + ".png"), optimize=True)


# --- images ---------------------------------------------------------------------------------------


def small(mode="RGB", size=(23, 17)):
    """A picture whose corners differ, so that a turn or a mirror image shows."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([x * 255 // (w - 1), y * 255 // (h - 1), (x + y) * 255 // (w + h - 2)], -1)
    return Image.fromarray(rgb.astype(np.uint8)).convert(mode)


def images(out):
    def save(name, im, expected=None, **options):
        path = os.path.join(out, name)
        im.save(path, **options)
        if expected is None:
            expected = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        expected.save(os.path.join(out, name.replace(".", "_") + ".png"), optimize=True)

    rgb = small()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"exif{orientation}.jpg", rgb, exif=exif, quality=95, subsampling=0)
    save("progressive.jpg", small(size=(64, 48)), quality=90, progressive=True)
    save("grey.jpg", small("L"), quality=95)
    save("cmyk.jpg", small("CMYK"), quality=100)
    # Some tools write a restart marker a row, comments, and bytes behind the end.
    save("restarts.jpg", small(size=(64, 48)), quality=95, restart_marker_rows=1, comment=b"hello")

    save("alpha.png", small("RGBA"))
    translucent = small("RGBA")
    translucent.putalpha(small("L"))
    save("translucent.png", translucent)
    save("translucent.webp", translucent, lossless=True, exact=True)
    grey_alpha = small("LA")
    grey_alpha.putalpha(small("L").transpose(Image.ROTATE_180))
    save("grey_alpha.png", grey_alpha)
    save("palette.png", rgb.quantize(16))
    save("bilevel.png", small("1"))

    ramp = (np.arange(23 * 17).reshape(17, 23) * 65535 // (23 * 17 - 1)).astype(np.uint16)
    high = Image.fromarray((ramp >> 8).astype(np.uint8)).convert("RGB")
    # Pillow clips 16-bit grey at 255 in convert("RGB"), which turns nearly all of it white: here the high byte is meant.
    save("grey16.png", Image.fromarray(ramp), expected=high)
    save("grey16.tif", Image.fromarray(ramp), expected=high)
    with open(os.path.join(out, "rgb16.png"), "wb") as f:
        f.write(rgb16_png(ramp))
    Image.open(os.path.join(out, "rgb16.png")).convert("RGB").save(os.path.join(out, "rgb16_png.png"))

    save("lossy.webp", rgb, quality=90)
    frames = [rgb, rgb.transpose(Image.ROTATE_180)]
    save("two_frames.gif", frames[0], save_all=True, append_images=frames[1:], duration=100)
    save("two_frames.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    save("plain.tif", rgb)
    save("lzw.tif", rgb, compression="tiff_lzw")
    save("turned.tif", rgb, tiffinfo={0x0112: 6})
    save("cmyk.tif", small("CMYK"))
    save("plain.bmp", rgb)
    save("palette.bmp", rgb.quantize(16))
    jpegs(out)


def jpegs(folder):
    """Each JPEG, whole and at 1, 2 and 4 eighths of its size (libjpeg's scale_denom, Pillow's draft)."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.jpg")) + glob.glob(os.path.join(SAMPLES, "*.jpg"))):
        scaled = found[os.path.basename(path)] = {}
        for eighths in (1, 2, 4, 8):
            im = Image.open(path)
            w, h = im.size
            if eighths < 8:
                im.draft(None, (max(w * eighths // 8, 1), max(h * eighths // 8, 1)))
            assert im.size == (-(-w * eighths // 8), -(-h * eighths // 8)), (path, im.size, eighths)
            im = ImageOps.exif_transpose(im).convert("RGB")
            scaled[eighths] = {"size": im.size, "crc32": zlib.crc32(im.tobytes())}
    with open(os.path.join(folder, "jpeg.json"), "w") as f:
        json.dump(found, f, indent=1)
        f.write("\n")


def rgb16_png(ramp):
    """Pillow does not write 16-bit colour; a PNG by hand, filter 0."""
    import zlib

    h, w = ramp.shape
    pixels = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", w, h, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


# --- PyTorch files --------------------------------------------------------------------------------


class Evil:
    """Unpickled by Python, this writes a file. Our reader must not."""

    def __reduce__(self):
        return os.system, ("touch /tmp/lab_pickle_was_executed",)


def pth(out):
    torch.manual_seed(0)

    def at(name):
        return os.path.join(out, name)

    weight, bias = torch.randn(4, 3), torch.randn(4)
    plain = {"norm.weight": weight, "norm.bias": bias, "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5)}
    torch.save(plain, at("flat.pth"))
    torch.save(plain, at("flat_protocol4.pth"), pickle_protocol=4)
    torch.save(plain, at("legacy.pth"), _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(3, 4).state_dict(), at("ordered_dict.pth"))

    args = argparse.Namespace(lr=1e-3, model="mae_vit_base_patch16", epochs=800, dist=None, betas=(0.9, 0.95))
    scaler = {"scale": 65536.0, "numpy": np.float64(1.5), "big": 1 << 80}
    torch.save({"model": plain, "args": args, "epoch": 799, "scaler": scaler}, at("mae_style.pth"))
    prefixed = {f"module.backbone.{name}": torch.nn.Parameter(t) for name, t in plain.items()}
    torch.save({"teacher": prefixed, "student": None, "list": [weight, (bias,)]}, at("teacher_style.pth"))

    types = {str(t).removeprefix("torch."): torch.tensor([1, 0, 3]).to(t) for t in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
        torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64)}
    torch.save(types, at("types.pth"))

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    views = {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 1:4],
        "every_second": base[::2, ::3],
        "expanded": torch.tensor([7.0, 8.0]).expand(3, 2),
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
    }
    torch.save(views, at("views.pth"))
    # What each holds, in row-major order.
    save_file({name: t.contiguous().clone() for name, t in views.items()}, at("views.safetensors"))
    save_file({name: t.contiguous().clone() for name, t in plain.items()}, at("flat.safetensors"))

    torch.save({"weight": weight, "evil": Evil()}, at("evil.pth"))
    torch.save({"sparse": torch.eye(3).to_sparse()}, at("sparse.pth"))
    torch.save(torch.nn.Linear(3, 4), at("whole_module.pth"))
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 4)), at("torchscript.pt"))
    with open(at("bare_pickle.pkl"), "wb") as f:
        pickle.dump({"a": [1, 2, 3]}, f, protocol=2)
    # The same archive, deflated, as a careless tool would repack it.
    buffer = io.BytesIO()
    with zipfile.ZipFile(at("flat.pth")) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    with open(at("deflated.pth"), "wb") as f:
        f.write(buffer.getvalue())


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else HERE
    for part in (preprocess, images, pth):
        folder = os.path.join(out, part.__name__)
        os.makedirs(folder, exist_ok=True)
        part(folder)


main()
