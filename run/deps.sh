# deps.sh - install the Debian packages named, those that are missing
#
# usage: sh run/deps.sh PACKAGE...   ("a|b": either will do, a is installed)
#
# As root, or through sudo where it is there. Where neither can be had, prints the command and exits 1.
set -fu

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for wanted; do
  found=
  for package in $(echo "$wanted" | tr '|' ' '); do
    if installed "$package"; then found=1; fi
  done
  [ -n "$found" ] || missing="$missing ${wanted%%|*}"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
as_root=
if ! command -v apt-get >/dev/null; then
  echo "These Debian packages, or what they are called here, are missing:$missing" >&2
  exit 1
elif [ "$(id -u)" != 0 ]; then
  if sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  elif command -v sudo >/dev/null && [ -t 0 ]; then
    as_root=sudo
  else
    echo "Packages are missing. As root, run: $install" >&2
    exit 1
  fi
fi

echo "installing$missing"
apt() {
  # shellcheck disable=SC2086 # several words on purpose
  $as_root env DEBIAN_FRONTEND=noninteractive $1 >"$log" 2>&1 </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists of packages may be missing, or older than the archive.
apt "$install" || { apt 'apt-get update' && apt "$install"; } || {
  cat "$log" >&2
  echo "Packages could not be installed. As root, try: apt-get update && $install" >&2
  exit 1
}
