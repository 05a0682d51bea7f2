#!/bin/sh
# Makes sure that a Chromium is there: Debian's, installed where that is allowed; else the one command is said.
set -eu

command -v chromium >/dev/null 2>&1 && exit 0
install="apt-get install -y --no-install-recommends chromium"
as=""
if [ "$(id -u)" -ne 0 ]; then
    as="sudo -n"
fi
echo "page: $install"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # words on purpose
$as $install </dev/null || { $as apt-get update </dev/null && $as $install </dev/null; } || {
    echo "page: could not install chromium; try by hand: $install" >&2
    exit 1
}
