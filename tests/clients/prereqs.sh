#!/bin/sh
# Makes sure that one language of the tests of real clients is there: `sh prereqs.sh python` or `node`. What is missing
# is installed where that is allowed; else the one command is said.
set -eu

case "${1:-}" in
python)
    packages="python3 python3-venv"
    present() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
    fits() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }
    wanted="Python 3.11 or newer"
    ;;
node)
    packages="nodejs npm"
    present() { command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; }
    fits() { node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)'; }
    wanted="Node 20 or newer"
    ;;
*)
    echo "usage: prereqs.sh python|node" >&2
    exit 2
    ;;
esac

if ! present; then
    install="apt-get install -y --no-install-recommends $packages"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "clients: $1 is missing, and so is apt-get; install $wanted ($packages)" >&2
        exit 1
    fi
    as=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            echo "clients: $1 is missing; run: sudo $install" >&2
            exit 1
        fi
        as="sudo -n"
    fi
    echo "clients: $install"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # words on purpose
    $as $install </dev/null || { $as apt-get update </dev/null && $as $install </dev/null; } || {
        echo "clients: could not install $1; try by hand: $install" >&2
        exit 1
    }
fi

if ! fits; then
    echo "clients: these tests need $wanted" >&2
    exit 1
fi
