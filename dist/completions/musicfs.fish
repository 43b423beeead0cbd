# Completion of musicfs for fish.

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
