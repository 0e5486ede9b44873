#!/usr/bin/env bash
# Makes a release in dist/: an archive for each system and processor, its bill of materials, and the
# checksums of all. The same commit and Go version give the same bytes.
#   deploy/release.sh [VERSION] [DIRECTORY]
# VERSION is the version in the names, by default that of git. TARGETS may name other systems.
set -euo pipefail
cd "$(git -C "$(dirname "$0")" rev-parse --show-toplevel)"
version=${1:-$(git describe --tags --always --dirty)}
dist=${2:-dist}
targets=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
# Files have the time of the commit.
when=$(git log -1 --format=%ct)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"
rm -f "$dist"/sluice-* "$dist/SHA256SUMS"
for target in $targets; do
  name=sluice-$version-${target%/*}-${target#*/}
  mkdir "$work/$name"
  CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} GOAMD64=v1 GOFLAGS= \
    go build -trimpath -buildvcs=true -ldflags='-s -w' -o "$work/$name/sluice" .
  go run ./deploy/sbom "$work/$name/sluice" >"$dist/$name.cdx.json"
  cp LICENSE README.md CHANGELOG.md SECURITY.md "$work/$name"
  mkdir "$work/$name/systemd"
  cp deploy/systemd/* "$work/$name/systemd"
  "$work/$name/sluice" config example >"$work/$name/sluice.yaml" 2>/dev/null ||
    go run . config example >"$work/$name/sluice.yaml" # built for another system
  # --sort, --mtime and so on are GNU tar's.
  tar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner --mode='u+rwX,go+rX,go-w' \
    --format=ustar -C "$work" -cf - "$name" | gzip -n -9 >"$dist/$name.tar.gz"
  echo "$dist/$name.tar.gz"
done
(cd "$dist" && sha256sum sluice-* >SHA256SUMS)
