"""The preview of a data set as a PNG file: counts, pixel values, samples, and one image under augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_lite.reporting import png

if TYPE_CHECKING:  # matplotlib is imported when a picture is drawn
    from matplotlib.figure import Figure

Image = Sequence[Sequence[int]]


def draw(
    counts: Mapping[str, Sequence[int]],
    pixels: Sequence[int],
    mean_and_std: tuple[float, float],
    samples: Image,
    versions: Image,
    title: str,
    augmentation: str,
) -> bytes:
    """A PNG with four parts.

    Args:
        counts: The number of images of each class, by the name of the split: at most two splits.
        pixels: The number of pixels of each value 0..255 in the training images.
        mean_and_std: Of the same pixels, scaled to 0..1.
        samples: Images of all classes, put together. Values are 0..255.
        versions: Versions of one image, put together.
        title: The data set and its number of images.
        augmentation: What the versions are.

    Raises:
        DrawingError: matplotlib fails.
    """

    def figure() -> Figure:
        from matplotlib.figure import Figure

        result = Figure(figsize=(10, 8.2), layout="constrained")
        result.suptitle(title, fontsize="medium")
        (bars, histogram), grids = result.subplots(2, 2, height_ratios=(1, 2))
        for (name, values), shift, grey in zip(counts.items(), (-0.2, 0.2), ("0.35", "0.75"), strict=False):
            bars.bar(
                [digit + shift for digit in range(len(values))], values, width=0.4, color=grey, label=f"{name} images"
            )
        bars.set_xticks(range(10))
        bars.set_xlabel("class")
        bars.set_ylabel("images")
        bars.set_ylim(top=1.25 * max(max(values) for values in counts.values()))
        bars.legend(fontsize="small", ncols=2, loc="upper center")
        mean, std = mean_and_std
        histogram.stairs([n / sum(pixels) for n in pixels], [i / 255 for i in range(257)], color="black", fill=True)
        histogram.set_yscale("log")
        histogram.set_ylim(top=3)
        histogram.axvline(mean, color="tab:blue", linewidth=1.5, label=f"mean {mean:.4f}")
        histogram.axvspan(
            max(0, mean - std), mean + std, color="tab:blue", alpha=0.25, label=f"standard deviation {std:.4f}"
        )
        histogram.set_xlabel("pixel / 255")
        histogram.set_ylabel("share of training pixels")
        histogram.legend(fontsize="small", loc="upper center")
        for axes, image, text in zip(
            grids, (samples, versions), ("training images, a row per class", augmentation), strict=True
        ):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set_title(text, fontsize="small")
            axes.set_axis_off()
        return result

    return png.draw(figure)
