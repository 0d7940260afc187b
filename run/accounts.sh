# accounts.sh - make the accounts of a privilege-separated instance, those that are missing
#
# usage: sh run/accounts.sh HOME ACCOUNT...   (the order of conf-users; as root)
set -u
home=$1
shift
if [ "$(id -u)" != 0 ]; then
  echo 'make accounts: only root can make accounts' >&2
  exit 1
fi
dir=$home/alias # the first one's home: local mail for it and for nobody else lands there
made=
for name; do
  if ! getent passwd "$name" >/dev/null; then
    getent group "$name" >/dev/null || groupadd --system "$name" || exit 1
    useradd --system --gid "$name" --home-dir "$dir" --no-create-home --shell /usr/sbin/nologin "$name" || exit 1
    made="$made $name"
  fi
  if [ "$(id -u "$name")" = 0 ] || [ "$(id -gn "$name")" != "$name" ]; then
    echo "make accounts: $name is there already, but with uid 0 or another group than $name" >&2
    exit 1
  fi
  dir=$home
done
echo "accounts:${made:- all there}"
