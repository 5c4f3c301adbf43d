#!/bin/sh
# Builds target/debian/sealpost_VERSION_ARCH.deb out of what `make install` installs. Called by `make deb`, which
# sets the variables; needs dpkg-deb and nothing else. The same program gives the same octets.
#
# BINARY       the program
# VERSION      of the package; default: that of Cargo.toml
# COMPRESSION  of dpkg-deb -Z
# OUT          the directory for the package
# SOURCE_DATE_EPOCH  the time of all files; default: that of the last commit
set -eu
umask 022

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
command -v dpkg-deb >/dev/null || { echo "make deb: there is no dpkg-deb"; exit 1; }
test -x "$BINARY" || { echo "make deb: there is no $BINARY"; exit 1; }
VERSION=${VERSION:-$(sed -n '/^\[workspace\.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)}
ARCH=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

out=${OUT:-target/debian}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# The unit in the form that every systemd knows: who knows where it will be installed?
make --no-print-directory install BINARY="$BINARY" DESTDIR="$root" PREFIX=/usr SYSTEMD_VERSION=unknown \
    ZSHDIR=/usr/share/zsh/vendor-completions >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

strip --strip-unneeded "$root/usr/sbin/sealpost" 2>/dev/null || echo "make deb: not stripped"
doc=$root/usr/share/doc/sealpost
install -m 0644 packaging/debian/copyright "$doc/copyright"
rm "$doc"/LICENSE-*
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog" "$root"/usr/share/man/man?/*

# What the program is linked with; without dpkg-dev, what a Debian has that it was built on or later.
depends="libc6 (>= 2.34), libgcc-s1"
if command -v dpkg-shlibdeps >/dev/null; then
    mkdir -p "$work/shlibs/debian"
    : >"$work/shlibs/debian/control"
    found=$(cd "$work/shlibs" && dpkg-shlibdeps -O -e"$root/usr/sbin/sealpost" 2>/dev/null) &&
        depends=${found#shlibs:Depends=}
fi

mkdir "$root/DEBIAN"
echo /etc/sealpost/sealpost.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) >"$root/DEBIAN/md5sums"
size=$(find "$root" -type f -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
sed -e "s|@VERSION@|$VERSION|; s|@ARCH@|$ARCH|; s|@SIZE@|$size|; s|@DEPENDS@|$depends|" \
    packaging/debian/control >"$root/DEBIAN/control"
for script in preinst postinst prerm postrm; do
    install -m 0755 "packaging/debian/$script" "$root/DEBIAN/$script"
done

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
deb=$out/sealpost_${VERSION}_$ARCH.deb
DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Z"$COMPRESSION" --build "$root" "$deb" >/dev/null
echo "$deb"
