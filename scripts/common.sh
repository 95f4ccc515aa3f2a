# What the scripts share; sourced, never run.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Downloads, tools and initialised data directories are kept here between runs.
cache="${DAZZLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dazzle}"
mkdir -p "$cache"

# rustup's own place, which only login shells know, and the sbin folders, where servers are.
PATH="$PATH:$HOME/.cargo/bin:/usr/local/sbin:/usr/sbin:/sbin"

on_path() { command -v "$1" >/dev/null 2>&1; }

# Installs a Debian package for a program that is missing, or says which one is.
need() {
  local program=$1 package=$2
  on_path "$program" && return 0
  if ! on_path apt-get || [ "$(id -u)" != 0 ]; then
    echo "$program is missing: install $package (on Debian: sudo apt-get install $package)" >&2
    return 1
  fi
  echo "installing $package"
  local log="$cache/apt-$package.log"
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"; } \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    return 1
  fi
}

# What building needs: the Rust toolchain, and a C compiler for the allocator and the cryptography.
need_toolchain() {
  if ! on_path cargo; then
    echo "cargo is missing: install the Rust toolchain with rustup" >&2
    return 1
  fi
  need cc build-essential
}
