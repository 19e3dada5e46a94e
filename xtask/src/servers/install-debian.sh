# Run as root by install.rs, with the packages to install as arguments.
# Installs without starting any server, now or at the next boot, and without making a
# database cluster nobody asked for.
set -eu

policy=/usr/sbin/policy-rc.d
saved=$policy.before-conveyor
clusters=/etc/postgresql-common/createcluster.d/conveyor.conf

restore() {
    rm -f "$policy" "$clusters"
    if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}

# A run that was killed outright may have left its own.
if [ -e "$policy" ] && grep -q 'before-conveyor' "$policy"; then restore; fi

# What the packages bring is enabled to start at the next boot.
units=$(printf '%s.service ' "$@")
if ! command -v epmd >/dev/null; then units="$units epmd.service epmd.socket"; fi

finish() {
    restore
    for unit in $units; do
        # No systemd, or no such unit: then there is nothing to disable.
        systemctl disable "$unit" >/dev/null 2>&1 || true
    done
}

# A shell does this when what it runs has ended: packages are never left half installed.
trap finish EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n# Temporary; the one that was here is %s\nexit 101\n' "$saved" >"$policy"
chmod 755 "$policy"
mkdir -p "${clusters%/*}"
echo 'create_main_cluster = false' >"$clusters"

export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
