"""A comparison of runs as text for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mnist_lite.errors import printable
from mnist_lite.insight.comparison import ComparedGroup, Comparison
from mnist_lite.reporting import text_layout
from mnist_lite.sweeps.statistics import MIN_RUNS

MAX_GROUPS = 20
"""The texts show the groups with the highest accuracy. The CSV file has all."""
MAX_UNTESTED = 3
"""More groups without an answer share one sentence."""
MAX_CELL = 60
"""A longer value of a config is cut in the terminal. Markdown and CSV have it in full."""
HEADS = (
    *(
        "",
        "name",
        "parameters",
        "multiply-adds",
        "epochs",
        "seconds",
        "final",
        "95 % interval",
        "mean of last 5",
        "gap",
    ),
    *("n", "budget"),
)
NUMBERS = range(2, 11)
NOTES = (
    "final: test accuracy in % after the last epoch, mean over n seeds. gap: train minus test. "
    "seconds: training and evaluation of one run."
)


def as_text(comparison: Comparison, width: int | None = None) -> str:
    """The comparison in lines of at most ``width`` if possible."""
    groups = shown_groups(comparison)
    left = set(range(len(HEADS))) - set(NUMBERS)
    blocks = [text_layout.table(HEADS, _table(groups), left, width, drop=(3, 8)), [text_layout.wrapped(NOTES, width)]]
    blocks[-1] += [text_layout.wrapped(line, width) for line in notes(comparison)]
    heads, rows = _differences(comparison, groups)
    if rows:
        cut = [[cell if len(cell) <= MAX_CELL else f"{cell[:MAX_CELL]}..." for cell in row] for row in rows]
        blocks.append(text_layout.table(heads, cut, set(range(len(heads))), width))
    elif len(groups) > 1:
        blocks.append(["The configs do not differ."])
    if len(groups) > 1:
        blocks.append([text_layout.wrapped(line, width) for line in answers(comparison)])
    return "\n\n".join("\n".join(lines) for lines in blocks)


def as_markdown(comparison: Comparison, pictures: Sequence[str]) -> str:
    """The comparison as a Markdown page that shows ``pictures``, which are in its folder."""
    groups = shown_groups(comparison)
    page = ["# Comparison of runs", *_markdown_table(HEADS, _table(groups), NUMBERS), "", NOTES]
    page += [*notes(comparison), "", "## Config differences", ""]
    heads, rows = _differences(comparison, groups)
    page += _markdown_table(heads, rows) if rows else ["The configs do not differ."]
    if len(groups) > 1:
        page += ["", "## Which is better?", *(f"\n{_escaped(line)}" for line in answers(comparison))]
    page += [f"\n![{name}]({name})" for name in pictures]
    return "\n".join(page) + "\n"


def as_csv(comparison: Comparison) -> str:
    """One row for each group, with its figures, its seeds and its values of the keys that differ."""
    columns = [
        *("group", "name", "parameters", "multiply_adds", "epochs", "seconds", "final", "deviation", "low", "high"),
        *("mean_last_5", "gap", "n", "seeds", "budget", "difference_from_best", "p", "folders"),
        *(f"config.{key}" for key, _ in comparison.differences),
    ]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for i, group in enumerate(comparison.groups):
        final, test = group.final, group.results.comparison
        table.writerow(
            [
                *(group.letter, group.name, group.summary.parameters, group.summary.multiply_adds),
                *(group.mean(lambda s: s.epochs), group.mean(lambda s: s.seconds.train + s.seconds.eval)),
                *(
                    final.mean,
                    final.deviation,
                    final.low,
                    final.high,
                    group.mean(lambda s: s.accuracy.test.mean_last_5),
                ),
                *(group.gap, final.n, " ".join(map(str, group.seeds)), _budget(group)),
                *((test.difference, test.p) if test else (None, None)),
                "; ".join(str(run.path) for run in group.runs),
                *(cells[i] for _, cells in comparison.differences),
            ]
        )
    return text.getvalue()


def shown_groups(comparison: Comparison) -> list[ComparedGroup]:
    """The groups of the texts, in the order of the user: all, or the ``MAX_GROUPS`` with the highest accuracy."""
    best = sorted(comparison.groups, key=lambda group: -group.final.mean)[:MAX_GROUPS]
    return [group for group in comparison.groups if group in best]


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know about the figures."""
    groups = comparison.groups
    conditions = {group.letter: _conditions(group) for group in groups}
    lines = [
        f"test images: {images}" for images in [" and ".join(comparison.measured_on)] if comparison.split == "test"
    ]
    if comparison.split == "holdout":
        lines.append(f"the groups are tested against each other on {' and '.join(comparison.measured_on)}")
    if len(groups) > MAX_GROUPS:
        lines.append(f"the {MAX_GROUPS} best of {len(groups):,} groups; comparison.csv has all")
    if len(set(conditions.values())) > 1:
        texts = ", ".join(f"{letter} {text}" for letter, text in list(conditions.items())[:MAX_GROUPS])
        lines.append(f"seconds are not comparable: {texts}")
    return [printable(line) for line in [*lines, *comparison.left_out]]


def answers(comparison: Comparison) -> list[str]:
    """For the best group and each other group: is it better? One sentence for each, and one about the method."""
    shown = shown_groups(comparison)
    if len(comparison.measured_on) > 1:
        images = " and ".join(comparison.measured_on)
        return [f"Which is better? No answer: the groups were measured on different images: {images}."]
    best = max(shown, key=lambda group: (group.results.is_best, _selected(group)))
    tested = [group for group in shown if group is not best and group.results.comparison]
    untested = [group for group in shown if group is not best and not group.results.comparison]
    lines = [_answer(best, group) for group in tested]
    if len(untested) <= MAX_UNTESTED:
        lines += [_answer(best, group) for group in untested]
    else:
        letters = ", ".join(group.letter for group in untested)
        lines.append(
            f"Is {best.letter} better than {letters}? No answer yet: these groups have fewer than {MIN_RUNS} seeds in common "
            f"with {best.letter}, which has {_seeds(best)}."
        )
    tests = sum(group.results.comparison is not None for group in comparison.groups)
    if tests:
        adjusted = f", Holm-adjusted for {tests} comparisons" if tests > 1 else ""
        lines.append(f"Method: paired t-test on the differences between runs with the same seed{adjusted}.")
        if comparison.split == "test":
            lines.append("To choose a network, use data.holdout=5000: then held-out training images decide.")
    return lines


def _answer(best: ComparedGroup, other: ComparedGroup) -> str:
    question, test = f"Is {best.letter} better than {other.letter}?", other.results.comparison
    if test is None:
        common = sorted(set(best.seeds) & set(other.seeds))
        return (
            f"{question} No answer yet: the paired test needs {MIN_RUNS} seeds that both groups have, and they have "
            f"{len(common)}. {best.letter} has {_seeds(best)}, {other.letter} has {_seeds(other)}."
        )
    difference = (
        f"the mean difference is {-test.difference:+.3f} percentage points over {test.n} seeds, p = {test.p:.2g}"
    )
    if test.tied:
        return f"{question} Not shown: {difference}. More seeds may show it."
    return f"{question} Yes: {difference}."


def _seeds(group: ComparedGroup) -> str:
    return f"seed{'s' * (len(group.seeds) > 1)} {', '.join(map(str, group.seeds[:10]))}"


def _selected(group: ComparedGroup) -> float:
    """The mean accuracy on the split that the test uses."""
    return group.results.estimate.mean if group.results.estimate else 0.0


def _table(groups: Sequence[ComparedGroup]) -> list[list[str]]:
    return [[_one_line(cell) for cell in _row(group)] for group in groups]


def _row(group: ComparedGroup) -> list[str]:
    final, last = group.final, group.mean(lambda summary: summary.accuracy.test.mean_last_5)
    return [
        *(group.letter, group.name, f"{group.summary.parameters:,}", f"{group.summary.multiply_adds:,}"),
        f"{group.mean(lambda summary: summary.epochs):g}",
        f"{group.mean(lambda summary: summary.seconds.train + summary.seconds.eval):.0f}",
        f"{final.mean:.2f}",
        "" if final.low is None else f"{final.low:.2f} to {final.high:.2f}",
        "" if last is None else f"{last:.2f}",
        f"{group.gap:+.2f}",
        str(final.n),
        _budget(group),
    ]


def _budget(group: ComparedGroup) -> str:
    """The result of the budget check: ``met``, ``missed``, ``not judged``, or how many runs have which. Empty: no budget."""
    verdicts = [row.budget for row in group.results.rows if row.budget]
    kinds = list(dict.fromkeys(verdicts))
    return kinds[0] if len(kinds) == 1 else ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds)


def _conditions(group: ComparedGroup) -> str:
    """What the time of a run depends on, beside the network."""
    threads = [f"{run.summary.threads} thread{'s' * (run.summary.threads > 1)}" for run in group.runs]
    texts = {f"{run.summary.device} with {count}" for run, count in zip(group.runs, threads, strict=True)}
    return " or ".join(sorted(texts))


def _differences(comparison: Comparison, groups: Sequence[ComparedGroup]) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of the table of config differences, for ``groups``."""
    columns = [i for i, group in enumerate(comparison.groups) if group in groups]
    rows = [[key, *(cells[i] for i in columns)] for key, cells in comparison.differences]
    return ["key", *(group.letter for group in groups)], [list(map(_one_line, row)) for row in rows]


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    rule = ["---:" if i in right else "---" for i in range(len(heads))]
    return ["", *(f"| {' | '.join(map(_escaped, row))} |" for row in [heads, rule, *rows])]


def _escaped(text: str) -> str:
    """``text`` without signs that end a cell or start HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
