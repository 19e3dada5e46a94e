# Run as root by programs.rs, in a mount namespace of its own, with the folder to make as its argument.
# Fetches RabbitMQ and PostgreSQL of Debian 13 with all that they need, from the mirror that this system's apt uses,
# and unpacks them. None of their scripts is run: nothing is started and nobody is added to this system.
set -eu

# A shell does this when what it runs has ended: nobody goes on writing when this is over.
trap 'exit 130' INT TERM HUP

folder=$1
new=$folder.new

mirror() {
    apt-get indextargets --format '$(LABEL) $(CREATED_BY) $(REPO_URI)' |
        awk '$1 == "Debian" && $2 == "Packages" && $3 ~ /^https?:/ { print $3; exit }'
}

url=$(mirror)
if [ -z "$url" ]; then
    # What a mirror has is only known once its lists have been fetched.
    apt-get -q -o DPkg::Lock::Timeout=300 update
    url=$(mirror)
fi
if [ -z "$url" ]; then
    echo 'apt is not configured with a mirror of Debian'
    exit 1
fi
# What apt goes through, debootstrap must too.
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy="${http_proxy-}" https_proxy="${https_proxy-}"

rm -rf --one-file-system "$new"
debootstrap --foreign --variant=minbase --include=rabbitmq-server,postgresql-17 trixie "$new" "$url"
for package in "$new"/var/cache/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$new"
done
# The link that the package's script would have made.
[ -e "$new/usr/bin/awk" ] || ln -s mawk "$new/usr/bin/awk"
rm -rf --one-file-system "$new/var"
[ -x "$new/usr/lib/rabbitmq/bin/rabbitmq-server" ]
[ -x "$new/usr/lib/postgresql/17/bin/postgres" ]
# Named as it should be only once it is whole.
mv "$new" "$folder"
