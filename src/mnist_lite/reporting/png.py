"""The one place that turns figures into PNG files: with matplotlib's own defaults, and with every text taken literally."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a user's matplotlibrc that cannot be read makes this import fail, and a run must not
    from matplotlib.figure import Figure

DPI = 110


class DrawingError(Exception):
    """A picture could not be drawn. The message is one line; the cause is matplotlib's error."""


def draw(make: Callable[[], Figure]) -> bytes:
    """The PNG of the figure that ``make`` returns.

    A user's own settings (``matplotlibrc``, for example ``text.usetex: True``) do not apply: LaTeX may be missing, and the
    pictures of all runs should look alike. Names of runs and keys may hold ``$``, ``_`` or letters that the font lacks.
    They are drawn as they are: ``$`` does not start a formula.

    Raises:
        DrawingError: for any error while drawing. A run must not fail because of its pictures.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # remarks about the user's settings and fonts
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        # not ``rcdefaults``: that reads the user's style files, and a broken one stops it
        defaults: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        with matplotlib.rc_context(defaults), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Gg]lyph")  # the font has no such letter: a box is drawn
            figure = make()
            FigureCanvasAgg(figure)
            _take_literally(figure)
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=DPI)
            return content.getvalue()
    except Exception as error:
        raise DrawingError(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from error
    finally:
        logger.setLevel(level)


def _take_literally(figure: Figure) -> None:
    """Turns formulas off in titles, labels and legends. The numbers on a logarithmic axis are formulas, and stay."""
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        legend = axes.get_legend()
        texts += [] if legend is None else legend.get_texts()
    for text in texts:
        text.set_parse_math(False)
