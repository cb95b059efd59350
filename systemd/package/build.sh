#!/usr/bin/env bash
# The Debian package: lays out what goes into it below target/package/, and has cargo-deb pack it into target/debian/.
#
#   PACKAGE_BIN=FILE      a program that is built already; else a release build
#   PACKAGE_VERSION=TEXT  another version than the workspace's
set -euo pipefail
cd "$(dirname "$0")/../.."

CARGO_DEB_VERSION=3.8.0
say() { printf 'package: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The manifest names this folder, wherever cargo builds.
stage=target/package
version=${PACKAGE_VERSION:-$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)}

install_cargo_deb() {
  [ ! -x .setup/cargo-deb/bin/cargo-deb ] || return 0
  say "building cargo-deb $CARGO_DEB_VERSION, once, into .setup/cargo-deb"
  cargo install -q --locked cargo-deb --version "=$CARGO_DEB_VERSION" --root .setup/cargo-deb ||
    fail "cargo-deb cannot be built: is the crate registry reachable?"
}

program() {
  if [ -z "${PACKAGE_BIN:-}" ]; then
    say "building the program (release)"
    cargo build -q --release --workspace --bin inspectd
    PACKAGE_BIN=${CARGO_TARGET_DIR:-target}/release/inspectd
  fi
  [ -x "$PACKAGE_BIN" ] || fail "there is no program \`$PACKAGE_BIN\`"
  if objdump -p "$PACKAGE_BIN" | grep -q 'NEEDED *libmpi'; then
    fail "\`$PACKAGE_BIN\` was built with MPI, which no line PC has: build it without \`--features inspectd/mpi\` (\`make build\` does)"
  fi
  strip -o "$stage/inspectd" "$PACKAGE_BIN"
}

# Crates that are linked into the program, with their licences, as cargo knows them.
crates() {
  cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" | python3 -c '
import json, sys
known = json.load(sys.stdin)
packages = {p["id"]: p for p in known["packages"]}
edges = {n["id"]: n["deps"] for n in known["resolve"]["nodes"]}
todo, linked = [i for i, p in packages.items() if p["name"] == "inspectd"], set()
while todo:
    one = todo.pop()
    if one in linked: continue
    linked.add(one)
    todo += [d["pkg"] for d in edges[one] if any(k["kind"] is None for k in d["dep_kinds"])]
for p in sorted((packages[i] for i in linked), key=lambda p: (p["name"], p["version"])):
    if p["source"]:
        print(p["name"], p["version"], "|", p["license"] or p["license_file"], "|", p["repository"] or "")
'
}

documents() {
  local name
  mkdir -p "$stage/doc"
  cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT docs/*.md "$stage/doc/"
  for name in LICENSE ThirdPartyNotices.txt; do cp ".setup/onnxruntime/lib/$name" "$stage/doc/onnxruntime-$name"; done
  { echo "Rust crates inside the program: name, version | licence | source"; echo; crates; } >"$stage/doc/CRATES.txt"
}

# Manual pages and completions, told by the program itself.
manuals() {
  local shell
  "$stage/inspectd" manual --out "$stage/man" >&2
  gzip -9n "$stage"/man/*
  mkdir -p "$stage/completions"
  for shell in bash zsh fish; do "$stage/inspectd" completions $shell >"$stage/completions/$shell"; done
}

rm -rf "$stage"
mkdir -p "$stage/lib"
install_cargo_deb
program
cp .setup/onnxruntime/lib/libonnxruntime.so.* "$stage/lib/"
documents
manuals
mkdir -p target/debian
CARGO_TARGET_DIR=$PWD/target .setup/cargo-deb/bin/cargo-deb deb --manifest-path systemd/package/Cargo.toml --no-build --no-strip --deb-version "$version" -o target/debian/ -q
rm -f systemd/package/Cargo.lock
ls target/debian/inspectd_"$version"*.deb
