"""Shell completion: a script for each shell, and the candidates that the scripts ask for.

The scripts send the command line up to the cursor to ``mnist-lite completion query``. They get the candidates for its last word,
one per line. Hydra finds the candidates for groups, their files and keys, with its flag ``--shell-completion``.
"""

from __future__ import annotations

import os
import re

from mnist_lite.cli.commands import COMMANDS
from mnist_lite.cli.dispatch import run

BASH = r"""# Completion of mnist-lite for bash.
_mnist_lite() {
    local line=${COMP_LINE:0:COMP_POINT} candidate
    local word=${line##*[[:space:]]}
    local kept=${word%"$2"}  # bash replaces only $2: the part after "=" or ":"
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ $candidate == "$word"* ]] || continue
        [[ $candidate == *[=./] ]] || candidate+=" "
        COMPREPLY+=("${candidate#"$kept"}")
    done < <("$1" completion query "$line" 2> /dev/null)
}
complete -o default -o nospace -F _mnist_lite mnist-lite
"""
ZSH = r"""# Completion of mnist-lite for zsh.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_mnist_lite() {
    local candidate
    for candidate in ${(f)"$($words[1] completion query "${(j: :)words[1,CURRENT-1]} $PREFIX" 2> /dev/null)"}; do
        if [[ $candidate == *[=./] ]]; then compadd -Q -S '' -- $candidate; else compadd -Q -- $candidate; fi
    done
    (( compstate[nmatches] )) || { compset -P '*='; _files }
}
compdef _mnist_lite mnist-lite
"""
FISH = r"""# Completion of mnist-lite for fish.
complete -c mnist-lite -a '(mnist-lite completion query (commandline -cp) 2> /dev/null)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def print_candidates(line: str) -> None:
    """Prints the candidates for the last word of ``line``, one per line. ``line`` is the command line up to the cursor."""
    program, _, rest = line.lstrip().partition(" ")
    name, space, arguments = rest.lstrip().partition(" ")
    if not space:
        print("\n".join(command for command in COMMANDS if command.startswith(name)))
    elif name in COMMANDS and COMMANDS[name].config:
        own = re.search(r"(?:--config-dir|-cd)[ =](\S+) ", arguments)
        os.environ["COMP_LINE"] = f"{program} {arguments}"  # Hydra reads it from there
        run(name, [*(["--config-dir", own[1]] if own else []), "--shell-completion", "query=fish"])
