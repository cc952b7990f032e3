"""Draws a matplotlib figure to the bytes of a PNG file, with matplotlib's default settings and without formulas in texts."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lite.config.overrides import user_path
from mnist_lite.errors import UserError

if TYPE_CHECKING:  # this import fails if the user's matplotlibrc is damaged, and a run must not fail then
    from matplotlib.figure import Figure

DPI = 110


class DrawingError(Exception):
    """A picture was not drawn. The message is one line. The cause is matplotlib's error."""


def png_path(key: str, text: str) -> Path:
    """The path of a picture that the user has written for ``key``.

    Raises:
        UserError: it does not end with ``.png``, or its folder does not exist.
    """
    path = user_path(key, text)
    if path.suffix.lower() != ".png":
        raise UserError(f"{key}: {text} does not end with .png, and only PNG files are written")
    if not path.parent.is_dir():
        raise UserError(f"{key}: there is no folder {path.parent}")
    return path


def draw(make: Callable[[], Figure]) -> bytes:
    """The PNG file of the figure that ``make`` returns.

    The user's own settings (``matplotlibrc``, for example ``text.usetex: True``) do not apply: LaTeX may be missing,
    and all runs should have pictures of the same style. Texts are drawn literally: a ``$`` in the name of a run does
    not start a formula.

    Raises:
        DrawingError: any error while drawing. A run does not fail because of its pictures.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # no messages about the user's settings and fonts
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        # ``rcdefaults`` would read the user's style files, which may be damaged
        defaults: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        with matplotlib.rc_context(defaults), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Gg]lyph")  # a letter that the font lacks is drawn as a box
            figure = make()
            FigureCanvasAgg(figure)
            _switch_formulas_off(figure)
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=DPI)
            return content.getvalue()
    except Exception as error:
        raise DrawingError(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from error
    finally:
        logger.setLevel(level)


def _switch_formulas_off(figure: Figure) -> None:
    """For titles, labels and legends. The numbers of a logarithmic axis are formulas and stay as they are."""
    texts, legends = list(figure.texts), list(figure.legends)
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        legends += [legend for legend in [axes.get_legend()] if legend]
    for text in [*texts, *(text for legend in legends for text in legend.get_texts())]:
        text.set_parse_math(False)
