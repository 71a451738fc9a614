#!/bin/sh
# Builds the kernel object, bit for bit the same wherever the tree lies.
#
#   ebpf/build.sh           writes ebpf/ctrace.bpf.o
#   ebpf/build.sh --check   builds, compares with the committed object, and fails when they differ
#
# Needs a rustc with the sources of its standard library. Debian: apt-get install rustc-web rust-web-src (taken
# when /usr/bin/rustc is it); elsewhere: rustup component add rust-src, or BPF_RUSTC=/path/to/rustc.
# bpf-linker is taken from the cache folder, or installed there; llvm-strip comes from the package llvm.
set -eu

cd "$(dirname "$0")"
here=$(pwd -P)
linker_version=0.10.3
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ctrace/tools
target=${CTRACE_BPF_TARGET:-$here/target}

say() { printf '%s\n' "$*" >&2; }

has_sources() { [ -f "$("$1" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/core/src/lib.rs" ]; }

rustc=
for candidate in ${BPF_RUSTC:+"$BPF_RUSTC"} /usr/bin/rustc "$(command -v rustc || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && has_sources "$candidate"; then
        rustc=$candidate
        break
    fi
done
[ -n "$rustc" ] || { say "no rustc with the sources of its standard library: see the top of $0"; exit 4; }

strip=
for candidate in llvm-strip llvm-strip-22 llvm-strip-21 llvm-strip-20 llvm-strip-19 llvm-strip-18 llvm-strip-14; do
    if command -v "$candidate" >/dev/null; then strip=$candidate; break; fi
done
[ -n "$strip" ] || { say "llvm-strip not found: install the package llvm"; exit 4; }

if ! "$tools/bin/bpf-linker" --version 2>/dev/null | grep -qF "$linker_version"; then
    say "installing bpf-linker $linker_version into $tools"
    cargo install "bpf-linker@$linker_version" --locked --root "$tools" >&2
fi

registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
sysroot=$("$rustc" --print sysroot)
flags="-Cdebuginfo=2 -Clink-arg=--btf --remap-path-prefix=$here=/ctrace/ebpf"
flags="$flags --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust"
cargo=$(command -v cargo)
RUSTC=$rustc "$cargo" fetch --locked >&2
# The folder's name holds a hash of the registry's address, which differs between mirrors.
for source in "$registry"/*; do
    [ -d "$source" ] && flags="$flags --remap-path-prefix=$source=/cargo"
done

say "building with $("$rustc" --version)"
# The bindings would otherwise follow the machine that builds.
unset CARGO_ENCODED_RUSTFLAGS RUSTFLAGS
PATH="$tools/bin:$PATH" RUSTC=$rustc RUSTC_BOOTSTRAP=1 AYA_BPF_TARGET_ARCH=x86_64 \
    CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS=$flags \
    "$cargo" build --release --locked -Z build-std=core --target bpfel-unknown-none --target-dir "$target" >&2

built=$target/ctrace.bpf.o
cp "$target/bpfel-unknown-none/release/ctrace" "$built"
# Line tables would triple the object and only decorate the verifier's log.
"$strip" -g --remove-section=.BTF.ext --remove-section=.rel.BTF.ext "$built"

if [ "${1:-}" = --check ]; then
    if cmp -s "$built" ctrace.bpf.o; then
        say "ebpf/ctrace.bpf.o is what its source builds"
    else
        say "ebpf/ctrace.bpf.o differs from what its source builds: run ebpf/build.sh and commit the result"
        sha256sum "$built" ctrace.bpf.o >&2
        exit 1
    fi
else
    cp "$built" ctrace.bpf.o
    sha256sum ctrace.bpf.o
fi
