#!/bin/sh
# Makes sure that `prometheus`, `promtool`, `alertmanager` and `amtool` can be run, and prints a folder that has all four.
# What is not installed is taken from Debian's packages, unpacked into the folder $1: installing them would start
# their services.
set -eu
mkdir -p "$1/bin"
into=$(cd "$1" && pwd)

# unpack PACKAGE
unpack() {
    command -v apt-get >/dev/null || { echo "install prometheus (with promtool) and alertmanager (with amtool) first" >&2; exit 1; }
    fresh=$(mktemp -d "$into/fresh.XXXXXX")
    (cd "$fresh" && { apt-get download "$1" >&2 || { apt-get update >&2 && apt-get download "$1" >&2; }; })
    dpkg-deb -x "$fresh/$1"_*.deb "$into"
    rm -r "$fresh"
}

# provide PACKAGE NAME DEBIAN'S-NAME: a link to the program, wherever it is.
provide() {
    [ -x "$into/bin/$2" ] && return
    found=$(command -v "$2" || command -v "$3" || true)
    if [ -z "$found" ]; then
        [ -x "$into/usr/bin/$3" ] || unpack "$1"
        found=$into/usr/bin/$3
    fi
    ln -sf "$found" "$into/bin/$2"
}

# Debian's Alertmanager reads its templates from /usr/share only: the unpacked one sees the unpacked /usr/share there.
wrap() {
    cat >"$into/bin/alertmanager" <<WRAPPER
#!/bin/sh
exec unshare --map-root-user --mount sh -c 'mount --bind "$into/usr/share" /usr/share && exec "\$0" "\$@"' \\
    "$into/usr/bin/prometheus-alertmanager" "\$@"
WRAPPER
    chmod +x "$into/bin/alertmanager"
}

provide prometheus prometheus prometheus
provide prometheus promtool promtool
provide prometheus-alertmanager alertmanager prometheus-alertmanager
provide prometheus-alertmanager amtool amtool
case $(readlink "$into/bin/alertmanager") in
"$into"/*) rm "$into/bin/alertmanager" && wrap ;;
esac
echo "$into/bin"
