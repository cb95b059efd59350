#!/usr/bin/env bash
# inspectd-update: puts another version of inspectd in this one's place, and this one back where the other does not pass its self-check. Says each step
# before it is done. Also the first installation, out of an offline bundle (install.sh).
#
#   inspectd-update [--yes] [--previous FILE | --no-return] [--repository DIR] PACKAGE.deb
#
# Exit codes: 0 done; 1 nothing was changed; 3 the previous version runs again; 4 neither passes its self-check.
set -euo pipefail

KEPT=/var/lib/inspectd-update
STATE=/var/lib/inspectd
SETTLE_S=${INSPECTD_UPDATE_SETTLE_S:-15}
export DEBIAN_FRONTEND=noninteractive

say() { printf 'update: %s\n' "$*"; }
fail() { printf 'update: %s\n' "$*" >&2; exit 1; }
systemd_runs() { [ -d /run/systemd/system ]; }

yes='' return=yes previous='' repository='' package=''
while [ $# -gt 0 ]; do
  case "$1" in
    --yes) yes=yes ;;
    --no-return) return='' ;;
    --previous) previous=${2:?--previous needs a file}; shift ;;
    --repository) repository=${2:?--repository needs a folder}; shift ;;
    -*) fail "\`$1\` is not known; the head of this file has the usage" ;;
    *) package=$1 ;;
  esac
  shift
done

# What is asked for, refused before anything is touched.
[ "$(id -u)" = 0 ] || fail "not root: run it with sudo"
[ -f "$package" ] || fail "there is no package \`$package\`"
field() { dpkg-deb -f "$1" "$2" 2>/dev/null || true; }
[ "$(field "$package" Package)" = inspectd ] || fail "\`$package\` is no package of inspectd, or damaged"
machine=$(dpkg --print-architecture)
[ "$(field "$package" Architecture)" = "$machine" ] || fail "\`$package\` is for $(field "$package" Architecture), this machine is $machine"
new=$(field "$package" Version)
old=$(dpkg-query -W -f='${db:Status-Status} ${Version}' inspectd 2>/dev/null | sed -n 's/^installed //p' || true)
previous=${previous:-$KEPT/current.deb}
if [ -n "$old" ] && [ -n "$return" ]; then
  [ "$(field "$previous" Version)" = "$old" ] ||
    fail "there is no way back: $old was not installed by this program, so its package is not kept. Name it (--previous FILE), or go without (--no-return)"
fi

lines=''
if systemd_runs; then
  lines=$(systemctl list-units --plain --no-legend --state=active,activating,reloading 'inspectd.service' 'inspectd@*.service' | cut -d' ' -f1)
fi

configuration() { # of a unit
  case "$1" in inspectd@*) local name=${1#inspectd@}; echo "/etc/inspectd/${name%.service}.toml" ;; *) echo /etc/inspectd/inspectd.toml ;; esac
}

# The first line of what /readyz answers; nothing where TLS is spoken or nobody is there.
readyz() {
  local listen host
  listen=$(sed -n 's/^listen *= *"\(.*\)".*/\1/p' "$(configuration "$1")" 2>/dev/null | head -1)
  listen=${listen:-127.0.0.1:8787}
  host=${listen%:*}; host=${host#[}; host=${host%]}
  { exec 3<>"/dev/tcp/$host/${listen##*:}" && printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
    timeout 5 head -1 <&3; exec 3>&-; } 2>/dev/null | tr -d '\r' || true
}

self_check() {
  local unit before
  say "self-check: inspectd doctor"
  runuser -u inspectd -- env STATE_DIRECTORY=$STATE /usr/bin/inspectd doctor || return 1
  for unit in $lines; do
    say "self-check: $unit starts and says that it is ready"
    systemctl start "$unit" || return 1
    before=$(systemctl show --value --property NRestarts "$unit")
    say "self-check: it stays so for $SETTLE_S s"
    sleep "$SETTLE_S"
    [ "$(systemctl is-active "$unit")" = active ] && [ "$(systemctl show --value --property NRestarts "$unit")" = "$before" ] || return 1
    case "${ready[$unit]}" in
      *' 200 '*) case "$(readyz "$unit")" in *' 200 '*) ;; *) say "/readyz was well before the update and is not now"; return 1 ;; esac ;;
      *) say "/readyz was not asked: the line was not ready before, or speaks TLS" ;;
    esac
  done
}

drain() {
  local unit
  for unit in $lines; do
    say "stopping $unit: parts in flight get their verdict first"
    systemctl stop "$unit"
    [ "$(systemctl show --value --property Result "$unit")" = success ] || say "$unit did not end in order; its journal says why"
  done
}

put_in() { # a package
  local options=(-y --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
  if [ -n "$repository" ]; then
    local own; own=$(mktemp -d)
    mkdir -p "$own/lists/partial" "$own/archives/partial"
    echo "deb [trusted=yes] file:$(realpath "$repository") ./" >"$own/sources.list"
    options+=(-o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$own/lists"
      -o Dir::Cache::archives="$own/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
    apt-get -q "${options[@]}" update >/dev/null || return 1
  fi
  apt-get -q "${options[@]}" install "$(realpath "$1")" || return 1
  [ -z "$repository" ] || rm -rf "$own"
}

# What is small and changes its form with versions. Not pictures, journal and what is made anew from it.
copy_state() { # to a file
  (cd / && tar --exclude=evidence --exclude=journal --exclude=index --exclude=engines --exclude=features --exclude=training --exclude=jobs \
    -cf "$1" "${STATE#/}" etc/inspectd)
  chmod 0600 "$1"
}

go_back() {
  rm -f $KEPT/incoming.deb
  say "$new does not pass; $old comes back"
  drain
  repository='' put_in "$previous" || { say "$old cannot be installed again: \`dpkg -i $previous\` says why"; exit 4; }
  if self_check; then
    say "$old runs again. Records that $new wrote are kept. The copy of before is $copy"
    exit 3
  fi
  say "$old does not pass with what $new left: labels, models, users and settings of before come back; those of $new are kept beside, in ${copy%.tar}-after.tar"
  drain
  copy_state "${copy%.tar}-after.tar"
  (cd / && tar -xpf "$copy")
  if self_check; then say "$old runs again"; exit 3; fi
  say "neither version passes its self-check: \`journalctl -u inspectd\` and \`inspectd doctor\` say why"
  exit 4
}

if [ -z "$old" ]; then
  say "inspectd $new is installed; no line is started: configure it in /etc/inspectd first"
else
  say "inspectd $old is replaced by $new. Lines that run and pause for it: ${lines:-none}"
  [ -n "$return" ] || say "there is no automatic return"
fi
if [ -z "$yes" ]; then
  read -rp "update: go on? [y/N] " answer || fail "nobody to ask: say --yes"
  [ "$answer" = y ] || fail "nothing was changed"
fi

declare -A ready
for unit in $lines; do ready[$unit]=$(readyz "$unit"); done
install -d -m 0700 "$KEPT"
# It may be the very file that is written over below.
cp "$package" $KEPT/incoming.deb
package=$KEPT/incoming.deb
copy=$KEPT/state-$(date -u +%Y%m%dT%H%M%SZ).tar
if [ -n "$old" ]; then
  drain
  say "copying what is small of the state to $copy"
  copy_state "$copy"
  [ -z "$return" ] || { [ "$previous" = $KEPT/previous.deb ] || cp "$previous" $KEPT/previous.deb; previous=$KEPT/previous.deb; }
fi
say "installing $new"
if put_in "$package" && self_check; then
  mv "$package" $KEPT/current.deb
  # Three copies are kept.
  find $KEPT -name 'state-*.tar' | sort -r | tail -n +4 | xargs -r rm
  say "inspectd $new is in place"
  exit 0
fi
if [ -z "$old" ] || [ -z "$return" ]; then
  say "$new does not pass its self-check, and there is no way back: \`inspectd doctor\` says what is missing"
  exit 4
fi
go_back
