"""``musicfs completion``, and the scripts that it prints."""

from __future__ import annotations

import click

from musicfs.cli.command import Command

# What they say and hear is in musicfs.cli.completing. The command is run as it was typed, so that it is the one that is
# completed; what goes wrong offers nothing.
_BASH = r"""# Completion of musicfs for bash.

_musicfs() {
    local kind text
    local -a found=()
    COMPREPLY=()
    while IFS=$'\t' read -r kind text; do
        case $kind in
            files) compopt -o default; return ;;
            folders) compopt -o dirnames; return ;;
            open) found+=(open); COMPREPLY+=("$text") ;;
            word) found+=(word); COMPREPLY+=("$text") ;;
        esac
    done < <(printf '%s\0' "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" |
        _MUSICFS_COMPLETE=bash "${1/#\~/$HOME}" 2>/dev/null)
    if [[ ${#found[@]} == 1 && ${found[0]} == open ]]; then
        compopt -o nospace
    fi
}

complete -o nosort -F _musicfs musicfs
"""
_ZSH = r"""#compdef musicfs
# Completion of musicfs for zsh.

_musicfs() {
    local kind value help
    local -a open shown_open words_found shown
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            (files) _files; return ;;
            (folders) _files -/; return ;;
            (open) open+=("$value"); shown_open+=("$value${help:+  -- $help}") ;;
            (word) words_found+=("$value"); shown+=("$value${help:+  -- $help}") ;;
        esac
    done < <(print -rN -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" |
        _MUSICFS_COMPLETE=zsh ${(Q)~words[1]} 2>/dev/null)
    (( $#open )) && compadd -V musicfs-open -S '' -d shown_open -a open
    (( $#words_found )) && compadd -V musicfs -d shown -a words_found
    (( $#open + $#words_found ))
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _musicfs "$@"
else
    compdef _musicfs musicfs
fi
"""
_FISH = r"""# Completion of musicfs for fish.

function __musicfs_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l typed (commandline --cut-at-cursor --current-token)
    # A quote may be open.
    set -l current (string unescape -- $typed; or string unescape -- $typed'"'; or string unescape -- $typed"'")
    printf '%s\0' $words "$current" | env _MUSICFS_COMPLETE=fish $words[1] 2>/dev/null |
        while read --local --delimiter \t kind value help
        switch $kind
            case files
                __fish_complete_path "$current"
            case folders
                __fish_complete_directories "$current"
            case open word
                printf '%s\t%s\n' $value $help
        end
    end
end

complete --command musicfs --no-files --keep-order --arguments '(__musicfs_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(tuple(SCRIPTS)))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    Packages of MusicFS bring all three. What is offered: commands, options, ids of origins, paths in the mount and in the
    trash, names of collections, pins, fields of tags.

    \b
    Examples:
      musicfs completion bash > ~/.local/share/bash-completion/completions/musicfs
      musicfs completion zsh > "${fpath[1]}/_musicfs"
      musicfs completion fish > ~/.config/fish/completions/musicfs.fish
    """
    click.echo(SCRIPTS[shell], nl=False)
    return 0
