#!/bin/sh
# Installs inspectd out of this bundle on a machine without internet, or updates it. Says what it will do and asks before; `--yes` answers.
set -eu
cd "$(dirname "$0")"

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

# Both name a VERSION: the bundle's counts.
. /etc/os-release
. ./bundle.conf
[ "$(id -u)" = 0 ] || fail "not root: run it with sudo"
command -v apt-get >/dev/null || fail "no apt-get here: this bundle is for Debian $DEBIAN"
machine=$(dpkg --print-architecture)
[ "$machine" = "$ARCHITECTURE" ] || fail "this bundle is for $ARCHITECTURE, this machine is $machine"
[ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = "$DEBIAN" ] ||
  fail "this bundle is for Debian $DEBIAN, this machine runs ${PRETTY_NAME:-something else}: its libraries do not fit"
say "comparing every file with SHA256SUMS"
sha256sum --quiet --strict -c SHA256SUMS || fail "this bundle is damaged: copy it again"

say "this bundle holds inspectd $VERSION and every package of Debian $DEBIAN that it needs ($(ls debs/*.deb | wc -l) files; licences and sources: LICENCES.txt)."
say "apt installs those of them that this machine lacks, and nothing from anywhere else. It makes a user \`inspectd\`,"
say "/etc/inspectd, /var/lib/inspectd and units of systemd."
exec bash ./update.sh --repository "$PWD/debs" "$@" "debs/$PACKAGE"
