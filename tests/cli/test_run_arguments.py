"""Names of runs and options ``key=value`` on one command line."""

from __future__ import annotations

import pytest

from mnist_lite.cli.run_arguments import Option, parse_arguments
from mnist_lite.errors import UserError

OPTIONS = {"verify": Option("false", "check all runs", ("true", "false")), "output": Option("", "a folder")}


def test_names_and_options_are_sorted_in_any_order():
    found = parse_arguments("compare", ["a", "output=x=y", "./b=c", "b"], "a run", OPTIONS)
    assert found.names == ["a", "./b=c", "b"]
    assert found.options == {"verify": "false", "output": "x=y"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "compare: expected a run"),
        (["output=x"], "compare: expected a run"),
        (["a", "verfy=true"], "verfy: unknown option; did you mean verify"),
        (["a", "verify=yes"], "verify: 'yes' is not allowed"),
        (["a", "--verify"], "--verify: unknown flag"),
        (["a", "output="], "output: the value is empty"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], message: str):
    with pytest.raises(UserError) as caught:
        parse_arguments("compare", arguments, "a run", OPTIONS)
    assert message in str(caught.value)


def test_the_help_has_the_options(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        parse_arguments("compare", ["a", "--help"], "a run", OPTIONS)
    output = capsys.readouterr().out
    assert end.value.code == 0 and "verify=false" in output and "true | false" in output and "a run" in output
