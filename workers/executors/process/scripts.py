"""The two shell programs that run inside the sandbox: what makes its mounts, and its first process.

They are handed to the shell as text, so nothing has to be readable for the unprivileged id outside.
"""

from __future__ import annotations

from typing import Final

INIT: Final = r"""
# Process 1: runs the provisioning scripts and then the command, hands TERM on, reaps orphans.
child= stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM
run() {
  "$@" 3>&- &
  child=$!
  [ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null
  while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  child=
  return $code
}
directory=$1
shift
for script in /run/dms/*; do
  [ -f "$script" ] || continue
  name=${script##*/}
  echo "provisioning with script ${name#*-}" >&3
  run "$script" || exit $?
  [ -z "$stopping" ] || exit 143
done
echo "entering the working directory $directory" >&3
cd "$directory" || exit 126
echo "looking for the command $1" >&3
command -v "$1" >/dev/null || { echo "$1: not found in the sandbox's PATH=$PATH" >&2; exit 127; }
echo running >&3
run "$@"
exit $code
"""
"""Arguments: working directory, command. Descriptor 3 takes each step, `running` being the last."""

MOUNTS: Final = r"""
# Process 1 of the util-linux back-end: builds the root, enters it and becomes the sandbox's first process.
set -e
root=$1
shift
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || :
hostname "$1" 2>/dev/null || :
shift
mount -n -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root"
cd "$root"
while [ "$1" != -- ]; do
  case $1 in
    folder) mkdir -p ".$2"; shift 2 ;;
    link) ln -s "$2" ".$3"; shift 3 ;;
    tmpfs) mkdir -p ".$2"; mount -n -t tmpfs -o mode=1777,nosuid,nodev tmpfs ".$2"; shift 2 ;;
    bind)
      if [ -d "$2" ]; then mkdir -p ".$3"; else mkdir -p ".${3%/*}"; [ -e ".$3" ] || : > ".$3"; fi
      mount -n --rbind "$2" ".$3"
      mount -n -o "remount,bind,$4" ".$3"
      shift 4 ;;
  esac
done
shift
mkdir -p proc dev
mount -n -t proc -o nosuid,nodev,noexec proc proc
mount -n -t tmpfs -o mode=755,nosuid,noexec tmpfs dev
for name in null zero full random urandom tty; do
  : > "dev/$name"
  mount -n --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -n -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -n -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
# One more user namespace is needed to leave the id 0; the workload gets none.
echo 1 > /proc/sys/user/max_user_namespaces
pivot_root . .
umount -n -l .
mount -n -o remount,bind,ro,nosuid,nodev /
cd /
exec unshare --user --map-user=65534 --map-group=65534 -- setpriv --no-new-privs -- "$@"
"""
"""Arguments: new root, host name, steps (folder, link, tmpfs, bind), `--`, command."""
