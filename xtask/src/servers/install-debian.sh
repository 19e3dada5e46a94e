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

trap restore EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n# Temporary; the one that was here is %s\nexit 101\n' "$saved" >"$policy"
chmod 755 "$policy"
mkdir -p "${clusters%/*}"
echo 'create_main_cluster = false' >"$clusters"

had_epmd=$(command -v epmd || true)

export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"

# Without systemd there is nothing to disable.
units=$*
if [ -z "$had_epmd" ]; then units="$units epmd.service epmd.socket"; fi
for unit in $units; do
    systemctl disable "$unit" >/dev/null 2>&1 || true
done
