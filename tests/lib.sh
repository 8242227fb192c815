#!/usr/bin/env bash
# What the test scripts share: steps that say what they do and how long it took, and the installing of tools.

# step HEADING COMMAND...: runs a command under a heading; under `set -e` the first that fails ends everything.
step() {
    local heading=$1 start=$SECONDS
    shift
    printf '\n=== %s\n' "$heading"
    # Called plainly, since `set -e` is off inside whatever an `if` asks about.
    trap 'printf -- "--- FAILED: %s\n" "'"$heading"'"' EXIT
    "$@"
    trap - EXIT
    printf -- '--- %s: ok, %d s\n' "$heading" $((SECONDS - start))
}

# debian_packages COMMAND:PACKAGE...: installs the packages whose command is missing.
debian_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    # The module is split off from Debian's python3, which may be there without it.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    ((${#missing[@]})) || return 0
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Python tools and clients, pinned, in target/venv.
python_packages() {
    local wanted=tests/clients/requirements.txt venv=target/venv
    cmp -s "$wanted" "$venv/installed" && return 0
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/installed"
}

# Node clients, pinned, in target/clients/node_modules.
node_packages() {
    local wanted=tests/clients/package-lock.json there=target/clients
    cmp -s "$wanted" "$there/installed" && return 0
    mkdir -p "$there"
    cp tests/clients/package.json "$wanted" "$there/"
    npm ci --silent --no-audit --no-fund --prefix "$there"
    cp "$wanted" "$there/installed"
}
