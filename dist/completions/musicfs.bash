# Completion of musicfs for bash.

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
