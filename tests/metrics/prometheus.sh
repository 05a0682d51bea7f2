#!/bin/sh
# Makes sure that `prometheus` and `promtool` can be run and prints the folder they are in. Where they are not
# installed, Debian's package is unpacked into the folder $1: installing it would start its service.
set -eu
into=$1
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    dirname "$(command -v promtool)"
    exit
fi
if [ ! -x "$into/usr/bin/promtool" ]; then
    command -v apt-get >/dev/null || { echo "install prometheus (with promtool) first" >&2; exit 1; }
    mkdir -p "$into"
    cd "$into"
    apt-get download prometheus >&2 || { apt-get update >&2 && apt-get download prometheus >&2; }
    dpkg-deb -x prometheus_*.deb .
    rm prometheus_*.deb
fi
echo "$into/usr/bin"
