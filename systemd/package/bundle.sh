#!/usr/bin/env bash
# One file for a PC without internet: the package, every package of Debian that it needs, checksums, licences, and an installer. Written beside the
# package. All dependencies are in it, down to the C library: 19 MB more than without what a least installation has, and it fits a machine of any
# point release; apt takes only what a machine lacks.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'bundle: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

package=${1:-$(ls -t target/debian/inspectd_*.deb 2>/dev/null | head -1)}
[ -f "$package" ] || fail "there is no package: make package"
version=$(dpkg-deb -f "$package" Version)
architecture=$(dpkg-deb -f "$package" Architecture)
debian=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_ID") || fail "a bundle is made on the Debian that it is for"
stage=target/bundle
out=target/debian/inspectd-$version-offline-$architecture.run

# As apt resolves it on a machine that has nothing.
download() {
  mkdir -p "$stage/debs/partial"
  : >"$stage/nothing"
  apt-get -q -y --download-only --no-install-recommends -o Dir::State::status="$PWD/$stage/nothing" \
    -o Dir::Cache::archives="$PWD/$stage/debs" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
    install "$(realpath "$package")" >&2 || fail "apt cannot fetch what the package needs: run \`apt-get update\` and try again"
  rm -rf "$stage/debs/partial" "$stage/debs/lock" "$stage/nothing"
  # Epochs are written as %3a in file names, which would be read back as an address.
  local deb; for deb in "$stage"/debs/*%3a*; do mv "$deb" "${deb%/*}/$(basename "$deb" | sed 's/_[0-9]*%3a/_/')"; done
  cp "$package" "$stage/debs/"
}

# Which licences are inside, in the words of each package's copyright file, and where its source is.
licences() {
  local deb name named folder=$stage/licences
  mkdir -p "$folder"
  cat <<'TEXT'
What is in this bundle, and under which licences. The whole texts are in licences/, those of Rust crates and of ONNX Runtime in /usr/share/doc/inspectd.

Source code. inspectd itself links dynamically against Debian's packages, unchanged. Among them are works under the LGPL (Aravis, GLib, GStreamer,
FFmpeg's libraries) and the GPL (Debian builds FFmpeg, which OpenCV uses, with parts under the GPL: libx264, libx265 and others). Who hands this bundle on
hands those on, too, and owes their sources to whoever gets it. They are Debian's, by source package and version as listed here:
`apt-get source SOURCE=VERSION` with Debian's source index gets them, and Debian's snapshot archive keeps them after newer ones came.

package | version | source package | source version | licences named
TEXT
  for deb in "$stage"/debs/*.deb; do
    name=$(dpkg-deb -f "$deb" Package)
    dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/share/doc/$name/copyright" >"$folder/$name.copyright" 2>/dev/null || rm "$folder/$name.copyright"
    dpkg-deb -W --showformat='${Package} | ${Version} | ${source:Package} | ${source:Version} | ' "$deb"
    named="as its source package's (a link in the package)"
    if [ -e "$folder/$name.copyright" ]; then
      named=$(grep -aoP '^License: *\K\S.*' "$folder/$name.copyright" | sort -u | paste -sd,) || true
    fi
    echo "${named:-see the text}"
  done
}

rm -rf "$stage"
mkdir -p "$stage"
download
licences >"$stage/LICENCES.txt"
(cd "$stage/debs" && dpkg-scanpackages -m . /dev/null >Packages 2>/dev/null)
cp systemd/package/install.sh systemd/package/update.sh "$stage/"
printf 'VERSION=%s\nARCHITECTURE=%s\nDEBIAN=%s\nPACKAGE=%s\n' "$version" "$architecture" "$debian" "$(basename "$package")" >"$stage/bundle.conf"
(cd "$stage" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
cat >"$out" <<'HEAD'
#!/bin/sh
# inspectd for a machine without internet. `sh FILE [--yes]` checks itself and installs; `sh FILE --extract DIR` only unpacks.
set -eu
if [ "${1:-}" = --extract ]; then to=${2:?a folder}; mkdir -p "$to"; else to=$(mktemp -d /var/tmp/inspectd-bundle.XXXXXX); chmod 0755 "$to"; fi
sed '1,/^__ARCHIVE__$/d' "$0" | tar -x -C "$to" || { echo "install: this file is cut off: copy it again" >&2; exit 1; }
if [ "${1:-}" = --extract ]; then exit 0; fi
code=0; sh "$to/install.sh" "$@" || code=$?
rm -rf "$to"
exit $code
__ARCHIVE__
HEAD
tar -c -C "$stage" . >>"$out"
chmod +x "$out"
(cd "$(dirname "$out")" && sha256sum "$(basename "$out")" >"$(basename "$out").sha256")
say "$(ls "$stage/debs" | grep -c '\.deb$') packages, $(du -h "$out" | cut -f1)"
echo "$out"
