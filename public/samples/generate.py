#!/usr/bin/env python3
"""Draws the page's sample pictures: six illustrations of our own, from seeds and shapes alone.

    python -m pip install pillow==12.* numpy==2.* && python public/samples/generate.py

Two cats, two still lifes, a harbour and a reef: enough kin and strangers for "nearest images" to mean something.
Each is 448 x 448, drawn four times larger and reduced, with a little paper grain, and stays below 60 kB.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 448
ZOOM = 4
BIG = SIDE * ZOOM


def colour(text: str) -> tuple[int, int, int]:
    return tuple(int(text[i : i + 2], 16) for i in (0, 2, 4))


def gradient(top: str, bottom: str) -> Image.Image:
    t = np.linspace(0, 1, BIG)[:, None, None]
    rows = np.array(colour(top)) * (1 - t) + np.array(colour(bottom)) * t
    return Image.fromarray(np.broadcast_to(rows, (BIG, BIG, 3)).astype(np.uint8))


def scale(*points: float) -> list[float]:
    return [p * BIG for p in points]


class Sheet:
    """A picture in the making; coordinates run from 0 to 1."""

    def __init__(self, background: Image.Image):
        self.image = background
        self.pen = ImageDraw.Draw(self.image)

    def disc(self, x, y, rx, ry=None, fill="000000"):
        ry = rx if ry is None else ry
        self.pen.ellipse(scale(x - rx, y - ry, x + rx, y + ry), fill=colour(fill))

    def shape(self, points, fill):
        self.pen.polygon([tuple(scale(x, y)) for x, y in points], fill=colour(fill))

    def line(self, points, fill, width=0.01):
        self.pen.line([tuple(scale(x, y)) for x, y in points], fill=colour(fill), width=int(width * BIG), joint="curve")

    def box(self, x0, y0, x1, y1, fill, radius=0.0):
        self.pen.rounded_rectangle(scale(x0, y0, x1, y1), radius * BIG, fill=colour(fill))

    def soft(self, x, y, rx, ry, fill, opacity, blur):
        """A blurred ellipse: shade and light."""
        mask = Image.new("L", (BIG // 4, BIG // 4))
        k = BIG // 4
        ImageDraw.Draw(mask).ellipse([(x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k], fill=int(255 * opacity))
        mask = mask.filter(ImageFilter.GaussianBlur(blur * k)).resize((BIG, BIG), Image.BILINEAR)
        self.image.paste(Image.new("RGB", (BIG, BIG), colour(fill)), mask=mask)
        self.pen = ImageDraw.Draw(self.image)

    def ball(self, x, y, r, base, light, dark, ry=None):
        """A lit body: its shade is kept inside its outline."""
        ry = r if ry is None else ry
        body = Sheet(Image.new("RGB", (BIG, BIG), colour(base)))
        body.soft(x + 0.35 * r, y + 0.45 * ry, r * 0.95, ry * 0.9, dark, 0.75, r * 0.35)
        body.soft(x - 0.1 * r, y - 0.1 * ry, r * 0.75, ry * 0.7, base, 0.9, r * 0.3)
        body.soft(x - 0.35 * r, y - 0.4 * ry, r * 0.28, ry * 0.24, light, 0.95, r * 0.14)
        mask = Image.new("L", (BIG, BIG))
        ImageDraw.Draw(mask).ellipse(scale(x - r, y - ry, x + r, y + ry), fill=255)
        self.image.paste(body.image, mask=mask)
        self.pen = ImageDraw.Draw(self.image)

    def save(self, name: str, seed: int):
        rng = np.random.default_rng(seed)
        small = np.asarray(self.image.resize((SIDE, SIDE), Image.LANCZOS), dtype=np.float32)
        grain = rng.normal(0, 2.2, (SIDE, SIDE, 1)).astype(np.float32)
        picture = Image.fromarray(np.clip(small + grain, 0, 255).astype(np.uint8))
        path = Path(__file__).with_name(f"{name}.jpg")
        picture.save(path, quality=86, optimize=True)
        print(path.name, path.stat().st_size, "bytes")
        assert path.stat().st_size < 60_000


def cat(name, seed, wall, spots, fur, shade, inner, eye, stripes):
    sheet = Sheet(gradient(*wall))
    rng = np.random.default_rng(seed)
    for row in range(7):
        for column in range(7):
            x, y = column / 6 + (0.083 if row % 2 else 0), row / 6
            sheet.disc(x, y, 0.018 + 0.006 * rng.random(), fill=spots)
    sheet.soft(0.5, 0.98, 0.42, 0.1, "000000", 0.35, 0.05)
    sheet.disc(0.5, 1.02, 0.33, 0.34, fur)
    sheet.disc(0.5, 1.06, 0.17, 0.27, inner)
    for side in (-1, 1):
        sheet.shape([(0.5 + side * 0.30, 0.10), (0.5 + side * 0.08, 0.27), (0.5 + side * 0.31, 0.45)], fur)
        sheet.shape([(0.5 + side * 0.27, 0.17), (0.5 + side * 0.15, 0.28), (0.5 + side * 0.27, 0.38)], inner)
    sheet.disc(0.5, 0.46, 0.31, 0.27, fur)
    sheet.soft(0.5, 0.66, 0.24, 0.06, shade, 0.5, 0.03)
    if stripes:
        for offset, length in ((-0.07, 0.09), (0, 0.13), (0.07, 0.09)):
            sheet.line([(0.5 + offset, 0.205), (0.5 + offset * 0.8, 0.205 + length)], shade, 0.026)
        for side in (-1, 1):
            for y in (0.47, 0.53):
                sheet.line([(0.5 + side * 0.30, y), (0.5 + side * 0.22, y + 0.012)], shade, 0.022)
    sheet.disc(0.445, 0.565, 0.075, 0.06, inner)
    sheet.disc(0.555, 0.565, 0.075, 0.06, inner)
    for side in (-1, 1):
        x = 0.5 + side * 0.125
        sheet.disc(x, 0.43, 0.062, 0.066, "fffdf5")
        sheet.disc(x, 0.435, 0.052, 0.058, eye)
        sheet.disc(x, 0.435, 0.02, 0.05, "16140f")
        sheet.disc(x + 0.018, 0.41, 0.013, fill="ffffff")
        for k in (-1, 0, 1):
            sheet.line([(0.5 + side * 0.1, 0.565 + k * 0.015), (0.5 + side * 0.33, 0.55 + k * 0.045)], "f8f4ea", 0.005)
    sheet.shape([(0.465, 0.515), (0.535, 0.515), (0.5, 0.553)], "c4626a")
    sheet.line([(0.5, 0.55), (0.5, 0.585), (0.46, 0.602)], "3a2b26", 0.008)
    sheet.line([(0.5, 0.585), (0.54, 0.602)], "3a2b26", 0.008)
    sheet.save(name, seed)


def still_life(name, seed, wall, cloth, stripe, fruit):
    sheet = Sheet(gradient(*wall))
    sheet.soft(0.28, 0.2, 0.3, 0.3, "ffffff", 0.25, 0.12)
    sheet.shape([(0, 0.62), (1, 0.56), (1, 1), (0, 1)], cloth)
    for k in range(-4, 14):
        x = k / 9
        sheet.shape([(x, 0.63), (x + 0.035, 0.63), (x - 0.12, 1), (x - 0.19, 1)], stripe)
    sheet.shape([(0, 0.5), (1, 0.5), (1, 0.56), (0, 0.625)], wall[1])
    for x, y, r, kind in fruit:
        sheet.soft(x + 0.05, y + r * 0.92, r * 1.1, r * 0.28, "20140e", 0.5, 0.02)
        if kind == "apple":
            sheet.ball(x, y, r, "c8332f", "ffd9c4", "5d0f1a")
            sheet.line([(x, y - r * 0.85), (x + r * 0.12, y - r * 1.3)], "4d3320", 0.012)
            sheet.disc(x + r * 0.42, y - r * 1.18, r * 0.32, r * 0.15, "5b8a3a")
        elif kind == "orange":
            sheet.ball(x, y, r, "ee8a22", "fff0c2", "a8480c")
            sheet.disc(x - r * 0.05, y - r * 0.8, r * 0.09, r * 0.06, "4d6a2a")
        elif kind == "plum":
            sheet.ball(x, y, r, "5a3a78", "d9c8f0", "241438", r * 0.92)
        elif kind == "lemon":
            sheet.disc(x - r * 1.2, y, r * 0.22, r * 0.16, "e3bd2b")
            sheet.ball(x, y, r * 1.2, "f2d23c", "fffbe0", "b98a12", r * 0.85)
        elif kind == "pear":
            sheet.ball(x, y - r * 0.95, r * 0.55, "a9bb45", "f4f7cf", "5f7422", r * 0.8)
            sheet.ball(x, y, r, "a9bb45", "f4f7cf", "5f7422")
            sheet.line([(x, y - r * 1.65), (x + r * 0.15, y - r * 2.05)], "4d3320", 0.012)
    sheet.save(name, seed)


def harbour():
    sheet = Sheet(gradient("f5b183", "fbe6c2"))
    sheet.soft(0.68, 0.36, 0.2, 0.2, "fff6dc", 0.8, 0.06)
    sheet.disc(0.68, 0.36, 0.085, fill="fffaf0")
    rng = np.random.default_rng(5)
    for base, height, fill in ((0.50, 0.12, "c98f8c"), (0.54, 0.10, "97708a"), (0.57, 0.06, "634f78")):
        xs = np.linspace(0, 1, 40)
        phase = rng.random(3) * 6.28
        ys = base - height * (0.5 + 0.3 * np.sin(xs * 7 + phase[0]) + 0.2 * np.sin(xs * 17 + phase[1]))
        sheet.shape([(0, 1)] + list(zip(xs, ys)) + [(1, 1)], fill)
    sheet.box(0, 0.58, 1, 1.1, "2f5f7d")
    for _ in range(170):
        y = 0.585 + 0.415 * rng.random() ** 1.2
        x, w = rng.random(), (0.02 + 0.07 * (y - 0.55)) * (0.6 + rng.random())
        near = abs(x - 0.68) < 0.10
        tint = "ffe3b0" if near else ("4b83a0" if rng.random() < 0.6 else "24506e")
        sheet.line([(x - w, y), (x + w, y)], tint, 0.0035 + 0.008 * (y - 0.55))
    for x, y, s, sail in ((0.26, 0.74, 1.0, "f7f1e3"), (0.56, 0.66, 0.55, "d9503f"), (0.86, 0.80, 0.8, "f0c044")):
        sheet.soft(x, y + 0.05 * s, 0.15 * s, 0.03 * s, "12303f", 0.6, 0.015)
        sheet.shape([(x, y - 0.36 * s), (x, y - 0.03 * s), (x + 0.17 * s, y - 0.05 * s)], sail)
        sheet.shape([(x - 0.015 * s, y - 0.31 * s), (x - 0.015 * s, y - 0.04 * s), (x - 0.11 * s, y - 0.05 * s)], sail)
        sheet.line([(x - 0.006 * s, y - 0.38 * s), (x - 0.006 * s, y)], "3a2418", 0.008 * s)
        sheet.shape(
            [(x - 0.16 * s, y - 0.015 * s), (x + 0.19 * s, y - 0.015 * s), (x + 0.12 * s, y + 0.05 * s), (x - 0.1 * s, y + 0.05 * s)],
            "5a2f22",
        )
    for x, y in ((0.18, 0.15), (0.30, 0.22), (0.44, 0.12)):
        sheet.line([(x - 0.035, y - 0.015), (x, y + 0.006), (x + 0.035, y - 0.015)], "5b4a5c", 0.008)
    sheet.save("harbour", 5)


def reef():
    sheet = Sheet(gradient("3fb2c4", "0e3b5c"))
    rng = np.random.default_rng(6)
    for x in (0.12, 0.38, 0.62, 0.9):
        sheet.soft(x, 0.0, 0.05, 0.75, "d5f5f2", 0.22, 0.05)
    sheet.shape([(0, 0.9), (0.2, 0.86), (0.5, 0.92), (0.8, 0.87), (1, 0.91), (1, 1), (0, 1)], "d9b77e")
    for x, height, fill in ((0.08, 0.45, "2f7d54"), (0.16, 0.3, "3f9463"), (0.88, 0.5, "2b7350"), (0.95, 0.34, "48a06c")):
        points = [(x + 0.025 * np.sin(t * 9 + x * 20), 0.93 - height * t) for t in np.linspace(0, 1, 24)]
        sheet.line(points, fill, 0.026)
    for _ in range(60):
        a, r = rng.random() * 3.1416, 0.09 * rng.random() ** 0.5
        sheet.line([(0.66, 0.93), (0.66 + 1.4 * r * np.cos(a), 0.93 - 1.9 * r * np.sin(a))], "e8607a", 0.011)
    for x, y, s, body, band in ((0.40, 0.42, 1.0, "f4802a", "fff7ea"), (0.70, 0.66, 0.6, "f2c531", "25406b")):
        sheet.shape([(x + 0.2 * s, y), (x + 0.36 * s, y - 0.13 * s), (x + 0.32 * s, y), (x + 0.36 * s, y + 0.13 * s)], body)
        sheet.shape([(x - 0.08 * s, y - 0.11 * s), (x + 0.04 * s, y - 0.23 * s), (x + 0.15 * s, y - 0.09 * s)], body)
        sheet.shape([(x - 0.02 * s, y + 0.11 * s), (x + 0.04 * s, y + 0.2 * s), (x + 0.12 * s, y + 0.09 * s)], body)
        sheet.disc(x, y, 0.25 * s, 0.15 * s, body)
        for dx, half in ((-0.09, 0.128), (0.07, 0.134)):
            bend = [(x + (dx + 0.03 * np.cos(t)) * s, y + half * np.sin(t) * s) for t in np.linspace(-1.45, 1.45, 16)]
            sheet.line(bend, "1c2733", 0.058 * s)
            sheet.line(bend, band, 0.042 * s)
        sheet.disc(x - 0.165 * s, y - 0.03 * s, 0.034 * s, fill="fdfdfb")
        sheet.disc(x - 0.17 * s, y - 0.03 * s, 0.019 * s, fill="131a22")
    for _ in range(26):
        x, y, r = 0.1 + 0.2 * rng.random(), 0.05 + 0.7 * rng.random(), 0.006 + 0.012 * rng.random()
        sheet.disc(x, y, r, fill="bfe9ee")
        sheet.disc(x + r * 0.12, y + r * 0.12, r * 0.75, fill="63bccb")
    sheet.save("reef", 6)


if __name__ == "__main__":
    cat("ginger-cat", 1, ("8fc1b5", "5f9c94"), "a9d3c6", "e0893c", "a9551d", "fbe3c4", "6fa34a", True)
    cat("grey-cat", 2, ("e9c7a5", "d79f7b"), "f2d9bd", "7d8794", "525b68", "d9dde2", "e2b23c", False)
    still_life(
        "apples", 3, ("c9d3c4", "8fa08f"), "f3eee2", "7d9bb8",
        [(0.70, 0.53, 0.13, "pear"), (0.27, 0.60, 0.14, "apple"), (0.50, 0.70, 0.12, "apple"), (0.80, 0.76, 0.10, "plum")],
    )
    still_life(
        "lemons", 4, ("3f4a5e", "2b3446"), "d8c7a6", "b5553c",
        [(0.33, 0.56, 0.13, "orange"), (0.66, 0.60, 0.12, "lemon"), (0.48, 0.76, 0.11, "lemon"), (0.20, 0.79, 0.08, "plum")],
    )
    harbour()
    reef()
