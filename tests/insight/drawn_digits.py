"""Draws 30 pictures of digits, as people make them: ten in fonts, ten with a pen on paper (photos), ten of other kinds.

python -m tests.insight.drawn_digits <folder> <run>    # writes the pictures, and prints the answers of the run
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT_NAMES = (
    *("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "STIXGeneral.ttf", "cmr10.ttf", "DejaVuSansMono.ttf"),
    *("DejaVuSans-BoldOblique.ttf", "STIXGeneralItalic.ttf", "cmss10.ttf", "DejaVuSerif-Italic.ttf", "cmtt10.ttf"),
)
COLOURS = (  # ink, paper
    *(
        ("black", "white"),
        ("white", "black"),
        ("navy", "lightyellow"),
        ("yellow", "darkgreen"),
        ("darkred", "mistyrose"),
    ),
    *(
        ("lightgrey", "dimgrey"),
        ("green", "white"),
        ("cyan", "midnightblue"),
        ("purple", "lavender"),
        ("orange", "white"),
    ),
)
SIZES = (24, 40, 64, 90, 120, 160, 200, 300, 400, 500)
PENS = ("black", "mediumblue", "dimgrey", "firebrick", "darkgreen")


def ellipse(x: float, y: float, width: float, height: float, start: int, end: int) -> list[tuple[float, float]]:
    """Points on an ellipse from one angle to another, in degrees. 0 is on the right, 90 is below."""
    angles = np.radians(np.linspace(start, end, 40))
    return [(x + width * np.cos(a), y + height * np.sin(a)) for a in angles]


STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [ellipse(0.5, 0.5, 0.32, 0.48, -80, 285)],
    1: [[(0.35, 0.2), (0.52, 0.02), (0.5, 0.98)]],
    2: [[*ellipse(0.5, 0.28, 0.3, 0.26, 190, 395), (0.2, 0.95), (0.85, 0.93)]],
    3: [[*ellipse(0.45, 0.26, 0.3, 0.24, 200, 440), *ellipse(0.45, 0.72, 0.34, 0.25, 280, 510)]],
    4: [[(0.55, 0.02), (0.12, 0.62), (0.9, 0.6)], [(0.68, 0.3), (0.64, 0.98)]],
    5: [[(0.8, 0.04), (0.3, 0.05), (0.25, 0.45), *ellipse(0.45, 0.68, 0.35, 0.28, 235, 500)]],
    6: [[(0.65, 0.02), (0.35, 0.35), *ellipse(0.48, 0.7, 0.28, 0.26, 180, 545)]],
    7: [[(0.15, 0.06), (0.85, 0.05), (0.4, 0.98)]],
    8: [[*ellipse(0.5, 0.25, 0.26, 0.23, 60, -270), *ellipse(0.5, 0.73, 0.32, 0.26, -90, 270)]],
    9: [[*ellipse(0.45, 0.3, 0.28, 0.27, 0, -360), (0.72, 0.3), (0.62, 0.98)]],
}
"""Each digit as lines of a pen, in a square of side 1."""


def in_font(digit: int, random: np.random.Generator) -> Image.Image:
    """The digit in one of ten fonts, colours and sizes."""
    size, (ink, paper) = SIZES[digit], COLOURS[digit]
    picture = Image.new("RGB", (int(1.6 * size), int(1.5 * size)), paper)
    place = (random.uniform(0.1, 0.8) * size, random.uniform(0, 0.2) * size)
    font = ImageFont.truetype(str(FONTS / FONT_NAMES[(3 * digit + 1) % 10]), size)
    ImageDraw.Draw(picture).text(place, str(digit), fill=ink, font=font)
    return picture


def by_hand(digit: int, random: np.random.Generator, side: int, pen: float) -> Image.Image:
    """A mask (255: ink) of a digit drawn by a shaky hand. ``pen`` is the width of its line, as a part of its height."""
    slant, turn = random.uniform(-0.25, 0.15), np.radians(random.uniform(-8, 8))
    height = random.uniform(0.45, 0.6) * side
    width = height * random.uniform(0.6, 0.9)
    corner = np.array([random.uniform(0.1, 0.8) * (side - width), random.uniform(0.1, 0.8) * (side - height)])
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    line = max(1, round(pen * height))
    for stroke in STROKES[digit]:
        shake = np.cumsum(random.normal(0, 0.004, (len(stroke), 2)), 0)
        points = np.array(stroke) + shake - 0.5
        points[:, 0] += slant * -points[:, 1]
        points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        pixels = [tuple(p) for p in corner + (points + 0.5) * [width, height]]
        draw.line(pixels, fill=255, width=line, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            draw.ellipse((x - line / 2, y - line / 2, x + line / 2, y + line / 2), fill=255)
    return mask


def photo(mask: Image.Image, pen: str, random: np.random.Generator) -> Image.Image:
    """A photo of the digit on white paper: light from one side, dark corners, noise, and not quite sharp."""
    side = mask.width
    rows, columns = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    angle = random.uniform(0, 2 * np.pi)
    light = 0.72 + 0.2 * (np.cos(angle) * rows + np.sin(angle) * columns) - 0.07 * (rows**2 + columns**2)
    ink = np.asarray(mask.filter(ImageFilter.GaussianBlur(side / 400)), dtype=float)[..., None] / 255
    colour = np.array(Image.new("RGB", (1, 1), pen).getpixel((0, 0))) / 255
    paper = np.array([1.0, 0.97, 0.92])
    values = light[..., None] * (ink * 0.85 * colour + (1 - 0.85 * ink) * paper) + random.normal(
        0, 0.02, (side, side, 3)
    )
    return Image.fromarray((255 * values.clip(0, 1)).astype(np.uint8))


def other(digit: int, random: np.random.Generator) -> Image.Image:
    """Chalk, a thick marker, a thin ballpoint, a transparent drawing, and a photo with a shadow and the edge of a table."""
    kind = digit % 5
    if kind == 0:  # chalk on a board
        drawn = np.asarray(by_hand(digit, random, 300, 0.09), dtype=float)[..., None] / 255
        chalk = drawn * random.uniform(0.5, 1, (300, 300, 1))
        values = 0.2 + 0.65 * chalk + random.normal(0, 0.03, (300, 300, 1)) + np.zeros(3)
        return Image.fromarray((255 * values.clip(0, 1)).astype(np.uint8))
    if kind == 1:
        return photo(by_hand(digit, random, 400, 0.16), "black", random)
    if kind == 2:
        return photo(by_hand(digit, random, 1000, 0.025), "mediumblue", random)
    if kind == 3:  # light ink on nothing
        mask = by_hand(digit, random, 120, 0.1)
        drawing = Image.new("RGBA", mask.size, (255, 255, 255, 0))
        drawing.putalpha(mask)
        return drawing
    picture = photo(by_hand(digit, random, 600, 0.08), "black", random)
    values = np.asarray(picture, dtype=float)
    values[:, :40] = (70, 45, 30)  # the table
    values[480:] *= 0.6  # a shadow
    return Image.fromarray(values.astype(np.uint8))


def draw_all(seed: int = 0) -> Iterator[tuple[str, int, bytes]]:
    """The name of the file, the digit, and the content of the file, for 30 pictures."""
    random = np.random.default_rng(seed)
    for digit in range(10):
        pen = by_hand(digit, random, int(random.integers(150, 600)), random.uniform(0.05, 0.12))
        for kind, picture in (
            ("font", in_font(digit, random)),
            ("pen", photo(pen, PENS[digit % 5], random)),
            ("other", other(digit, random)),
        ):
            content, suffix = io.BytesIO(), "jpg" if kind == "pen" else "png"
            picture.save(content, "jpeg" if suffix == "jpg" else "png", **({"quality": 80} if suffix == "jpg" else {}))
            yield f"{kind}_{digit}.{suffix}", digit, content.getvalue()


def main(folder: Path, run: str) -> None:
    from mnist_lite.insight.classify import predict_files, prepare
    from mnist_lite.insight.locate import find_runs
    from mnist_lite.insight.saved_run import load_run

    folder.mkdir(parents=True, exist_ok=True)
    drawn = [(folder / name, digit) for name, digit, content in draw_all() if (folder / name).write_bytes(content)]
    names = [str(path) for path, _ in drawn]
    answers = predict_files(load_run(find_runs([run])[0]), names, prepare(names))
    wrong = [
        f"{Path(answer.file).name}: {answer.prediction} ({100 * max(answer.probabilities):.1f} %)"
        for answer, (_, digit) in zip(answers, drawn, strict=True)
        if answer.prediction != digit
    ]
    print(f"{30 - len(wrong)} of 30 right; mistakes: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
