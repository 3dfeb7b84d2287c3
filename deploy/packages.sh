# SPDX-License-Identifier: Apache-2.0
# packages.sh - how missing Debian packages are installed; to be sourced

# packages_install NAME...: installs those that are missing, as root or with sudo. What
# they bring of servers is not started (policy-rc.d is Debian's way to say so).
packages_install() {
    local missing=() name as_root=() policy=/usr/sbin/policy-rc.d status=0
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q ' installed$' || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "missing packages: ${missing[*]}" >&2
            echo "install them, or run this as root or where there is sudo" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "installing ${#missing[@]} packages: ${missing[*]}"
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 update
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    else
        policy=
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "${missing[@]}" >/dev/null || status=$?
    [ -z "$policy" ] || "${as_root[@]}" rm -f "$policy"
    return "$status"
}
