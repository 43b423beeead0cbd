# shellcheck shell=bash
# Sourced by dist/quickstart and dist/test: finds or installs what MusicFS needs from the system and makes the virtual
# environment. Installs only what is missing, removes nothing, and does nothing at all the second time.
#
# The caller has set -euo pipefail and stands in the repository's root.

readonly PYTHON_MINIMUM="3.11"
readonly PYTHON_CANDIDATES=(python3 python3.14 python3.13 python3.12 python3.11)
VENV=$(realpath -m "${MUSICFS_VENV:-.venv}")

say() { printf '%s\n' "$*" >&2; }

step() { printf '\n== %s\n' "$*" >&2; }

# fail MESSAGE [REMEDY]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [[ -n ${2:-} ]]; then printf '       %s\n' "$2" >&2; fi
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "installing system packages needs root, and there is no sudo" "run as root: $*"
    fi
}

# ---------------------------------------------------------------------------------------------------------------
# System packages. Names are given once, in Debian's spelling; `translate` knows the others.

package_manager() {
    if have apt-get; then
        echo apt
    elif have dnf; then
        echo dnf
    elif have pacman; then
        echo pacman
    else
        echo none
    fi
}

# translate MANAGER DEBIAN_NAME: prints the names there; nothing when that system has no such package or needs none.
translate() {
    case "$1:$2" in
        apt:*) echo "$2" ;;
        dnf:python3-venv) echo python3 ;;
        dnf:python3-dev) echo python3-devel ;;
        dnf:libc6-dev) echo glibc-devel ;;
        dnf:pkg-config) echo pkgconf-pkg-config ;;
        dnf:libfuse-dev) echo fuse-devel ;;
        dnf:fuse3) echo fuse ;; # gives fusermount; lives beside fuse3 there
        dnf:ffmpeg) echo ffmpeg-free ;;
        dnf:libglib2.0-bin) echo glib2 ;;
        dnf:thunar) echo Thunar ;;
        dnf:xvfb) echo xorg-x11-server-Xvfb ;;
        dnf:dbus) echo dbus-daemon ;;
        dnf:atomicparsley) echo AtomicParsley ;;
        dnf:procps) echo procps-ng ;;
        dnf:openssh-client) echo openssh-clients ;;
        dnf:apache2-bin) echo httpd ;;
        dnf:wesnoth-*) ;;
        dnf:*) echo "$2" ;;
        pacman:python3-venv | pacman:python3-dev) echo python ;;
        pacman:libc6-dev) echo glibc ;;
        pacman:pkg-config) echo pkgconf ;;
        pacman:libfuse-dev | pacman:fuse3) echo fuse2 ;;
        pacman:libglib2.0-bin) echo glib2 ;;
        pacman:xvfb) echo xorg-server-xvfb ;;
        pacman:procps) echo procps-ng ;;
        pacman:openssh-*) echo openssh ;;
        pacman:apache2-bin) echo apache ;;
        pacman:wesnoth-*) ;;
        pacman:*) echo "$2" ;;
    esac
}

is_installed() {
    case "$1" in
        apt) [[ $(dpkg-query -W -f='${db:Status-Status}' "$2" 2>/dev/null) == installed ]] ;;
        dnf) rpm -q --quiet --whatprovides "$2" ;;
        pacman) pacman -Qq "$2" >/dev/null 2>&1 ;;
    esac
}

# Debian starts a service when its package is installed, unless policy-rc.d forbids it (invoke-rc.d(8)).
# bash -c "$WITHOUT_SERVICES" bash POLICY_FILE COMMAND...: forbids it while the command runs. A policy that is there already
# is somebody's decision: it stays, and decides.
# shellcheck disable=SC2016  # expanded by the shell that runs it
readonly WITHOUT_SERVICES='
    policy=$1
    shift
    if (set -o noclobber; printf "%s\n" "#!/bin/sh" "# Here while dist/test installs packages; delete it if not." "exit 101" >"$policy") 2>/dev/null; then
        trap "rm -f -- \"\$policy\"" EXIT
        trap "exit 129" HUP
        trap "exit 130" INT
        trap "exit 143" TERM
        chmod 755 "$policy"
    fi
    "$@"
'

# units_of MANAGER PACKAGE: the services and sockets that an installed package has.
units_of() {
    case "$1" in
        apt) dpkg-query -L "$2" ;;
        dnf) rpm -ql "$2" ;;
        pacman) pacman -Qlq "$2" ;;
    esac | sed -nE 's:^(/usr)?/lib/systemd/system/([^/@]+\.(service|socket))$:\2:p'
}

# keep_off MANAGER PACKAGE...: what has just been installed is not started at the next boot either.
keep_off() {
    local manager=$1 package units=()
    shift
    if ! have systemctl; then return; fi
    for package in "$@"; do
        mapfile -t -O "${#units[@]}" units < <(units_of "$manager" "$package")
    done
    if [[ ${#units[@]} -eq 0 ]]; then return; fi
    quietly as_root systemctl disable --quiet "${units[@]}" || fail "these could not be disabled: ${units[*]}"
    say "installed, but neither started nor enabled: ${units[*]}"
}

# install_packages [--off] DEBIAN_NAME...: installs those that are missing. With --off, no service that comes with them is
# started, now or at the next boot; one that was there before stays as it is.
install_packages() {
    local manager name translated missing=() off=no wrapper=()
    if [[ ${1:-} == --off ]]; then
        off=yes wrapper=(bash -c "$WITHOUT_SERVICES" bash /usr/sbin/policy-rc.d)
        shift
    fi
    manager=$(package_manager)
    for name in "$@"; do
        for translated in $(translate "$manager" "$name"); do
            if [[ $manager == none ]] || ! is_installed "$manager" "$translated"; then missing+=("$translated"); fi
        done
    done
    if [[ ${#missing[@]} -eq 0 ]]; then return; fi
    step "installing ${missing[*]}"
    case "$manager" in
        apt)
            quietly as_root apt-get update || say "apt-get update failed: going on with the package lists at hand"
            # --no-remove: fuse and fuse3 replace each other, and either serves; what is there stays.
            quietly as_root "${wrapper[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove --no-install-recommends \
                "${missing[@]}" || fail "apt-get could not install: ${missing[*]}" "its messages are above"
            ;;
        dnf)
            quietly as_root dnf install -y --setopt=install_weak_deps=False "${missing[@]}" ||
                fail "dnf could not install: ${missing[*]}" "its messages are above"
            ;;
        pacman)
            quietly as_root pacman -S --needed --noconfirm "${missing[@]}" ||
                fail "pacman could not install: ${missing[*]}" "bring the system up to date first: pacman -Syu"
            ;;
        none)
            fail "no apt-get, dnf or pacman here, and these are missing: $*" \
                "install them the way of your system (these are Debian's names), then run this again"
            ;;
    esac
    if [[ $off == yes ]]; then keep_off "$manager" "${missing[@]}"; fi
}

# quietly COMMAND...: shows what it said only if it fails. A question (of sudo for a password) still reaches the terminal.
quietly() {
    local log code=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { code=$?; tail -n 40 "$log" >&2; }
    rm -f "$log"
    return "$code"
}

# The FUSE helper: fusermount comes from fuse or from fuse3. Whichever is installed is kept.
install_fuse() {
    if have fusermount || have fusermount3; then return; fi
    install_packages fuse3
}

# What building llfuse takes: a compiler, the headers of libfuse 2 and of Python.
install_build_tools() {
    local python=$1 wanted=()
    if ! have gcc && ! have cc; then wanted+=(gcc libc6-dev); fi
    if ! have pkg-config; then wanted+=(pkg-config); fi
    if ! have pkg-config || ! pkg-config --exists fuse; then wanted+=(libfuse-dev); fi
    if ! "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; then
        wanted+=("$(python_package "$python" dev)")
    fi
    install_packages "${wanted[@]}"
}

# ---------------------------------------------------------------------------------------------------------------
# Python

python_is_recent() {
    "$1" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$PYTHON_MINIMUM'.split('.'))))" 2>/dev/null
}

# python_package PYTHON SUFFIX: the Debian package beside that interpreter: python3-dev, or python3.12-dev.
python_package() {
    local name
    name=$(basename "$1")
    if [[ $(package_manager) == apt ]]; then echo "$name-$2"; else echo "python3-$2"; fi
}

find_python() {
    local candidate
    for candidate in ${MUSICFS_PYTHON:+"$MUSICFS_PYTHON"} "${PYTHON_CANDIDATES[@]}"; do
        if have "$candidate" && python_is_recent "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Sets PYTHON to an interpreter that is new enough and can make a virtual environment.
ensure_python() {
    local version
    if ! PYTHON=$(find_python); then
        if ! have python3; then install_packages python3 python3-venv; fi
        if ! PYTHON=$(find_python); then
            version=$(python3 -V 2>&1 || true)
            # Ubuntu 22.04 has newer interpreters beside its python3.
            if [[ $(package_manager) == apt ]]; then
                for candidate in python3.13 python3.12 python3.11; do
                    if apt-cache show "$candidate-venv" >/dev/null 2>&1; then
                        install_packages "$candidate" "$candidate-venv"
                        break
                    fi
                done
            fi
            PYTHON=$(find_python) || fail "MusicFS needs Python $PYTHON_MINIMUM or newer; this system has ${version:-none}" \
                "install a newer Python, and name it: MUSICFS_PYTHON=/path/to/python3.12 $0"
        fi
    fi
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then install_packages "$(python_package "$PYTHON" venv)"; fi
}

# make_venv EXTRAS: the package, editable, with these extras. A stamp in the environment says for which pyproject.toml it
# was made; as long as that is the same, nothing is done.
make_venv() {
    local extras=$1 digest stamp
    digest=$(sha256sum pyproject.toml | cut -d' ' -f1)
    stamp="$VENV/.musicfs-$extras"
    if [[ -x $VENV/bin/python && -f $stamp && $(<"$stamp") == "$digest" ]] && "$VENV/bin/python" -c '' 2>/dev/null; then
        return
    fi
    ensure_python
    install_build_tools "$PYTHON"
    step "installing the package into $VENV ($("$PYTHON" -V))"
    if [[ -d $VENV ]] && ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        say "$VENV does not work any more: making it anew"
        "$PYTHON" -m venv --clear "$VENV"
    elif [[ ! -d $VENV ]]; then
        "$PYTHON" -m venv "$VENV"
    fi
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" ||
        fail "pip could not install the package" "its messages are above; without a network, use an index mirror of your own (PIP_INDEX_URL)"
    printf '%s\n' "$digest" | tee "$VENV/.musicfs-all" >"$stamp" # every list of extras here includes "all"
}

# ---------------------------------------------------------------------------------------------------------------
# FUSE

# Proves that this user can mount, or says what stands in the way.
check_fuse() {
    if [[ ! -e /dev/fuse ]]; then as_root modprobe fuse 2>/dev/null || true; fi
    if [[ ! -e /dev/fuse ]]; then
        fail "there is no /dev/fuse: this kernel or container offers no FUSE" \
            "load the module (modprobe fuse); in a container: --device /dev/fuse --cap-add SYS_ADMIN"
    fi
    if [[ ! -r /dev/fuse || ! -w /dev/fuse ]]; then
        fail "/dev/fuse may not be opened by $(id -un): $(stat -c '%A %U:%G' /dev/fuse)" \
            "allow it (sudo chmod 666 /dev/fuse), or run as root"
    fi
    if ! have fusermount && ! have fusermount3; then
        fail "fusermount is missing" "install the package fuse3 (or fuse)"
    fi
}
