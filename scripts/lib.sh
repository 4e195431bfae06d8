# Shared by the scripts in this folder: what they say, and how they say it. Source it; it runs nothing.

# Colour only for a person at a terminal.
if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' plain=''
fi

say() { printf '%s==>%s %s%s%s\n' "$green" "$plain" "$bold" "$*" "$plain"; }
note() { printf '    %s\n' "$*"; }
die() {
    printf '%serror:%s %s\n' "$red" "$plain" "$1" >&2
    shift
    local line
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

# run_logged TITLE LOG COMMAND…: the command's output goes to LOG; a dot every five seconds shows that it lives.
# On failure the last LOG_LINES of the log are shown.
run_logged() {
    local title=$1 log=$2 start=$SECONDS status=0 ticker
    shift 2
    say "$title"
    (while sleep 5 >/dev/null 2>&1; do printf '.'; done) &
    ticker=$!
    "$@" >"$log" 2>&1 || status=$?
    { kill "$ticker" && wait "$ticker"; } 2>/dev/null || true
    ((SECONDS - start < 5)) || printf '\n'
    if ((status != 0)); then
        tail -n "${LOG_LINES:-25}" "$log" >&2
        printf '    (the whole output: %s)\n' "$log" >&2
    fi
    return "$status"
}

# Where tools that we build ourselves are kept between checkouts.
tools_dir() { printf '%s/stagedoor/tools' "${XDG_CACHE_HOME:-$HOME/.cache}"; }
