"""Tab completion in bash, for `python -m mechlab.COMMAND` and `mechlab COMMAND`.

Hydra's own script supports programs of one word only; its completions are used unchanged.
"""

from __future__ import annotations

import re

INSTALL = r"""_mechlab_completion() {
    local words=($COMP_LINE) helper choices
    if [[ ${words[0]} == python* && ${words[1]} == -m && ${words[2]} == mechlab.* ]]; then
        helper="${words[0]} -m ${words[2]}"
    elif [[ ${words[0]} == mechlab && ${#words[@]} -gt 1 ]]; then
        helper="mechlab ${words[1]}"
    else
        return
    fi
    choices=$(COMP_POINT=$COMP_POINT COMP_LINE=$COMP_LINE $helper -sc query=bash 2> /dev/null)
    COMPREPLY=($(compgen -W "$choices" -- "${words[$COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _mechlab_completion python python3 mechlab"""

UNINSTALL = "complete -r python python3 mechlab; unset -f _mechlab_completion"


def script(arguments: list[str]) -> str | None:
    """Return the text printed by `-sc install=bash` or `-sc uninstall=bash`; None for other arguments."""
    for option in ("-sc", "--shell-completion", "--shell_completion"):
        if option in arguments:
            request = (arguments[arguments.index(option) + 1 :] or [""])[0]
            return {"install=bash": INSTALL, "uninstall=bash": UNINSTALL}.get(request)
    return None


def as_one_word(line: str) -> str:
    """Return a command line with its program in one word, as Hydra's query requires."""
    return re.sub(r"^\s*(?:\S*python[\d.]*\s+-m\s+\S+|mechlab\s+\w+)", "mechlab", line)
