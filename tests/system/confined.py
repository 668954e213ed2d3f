"""A command confined as deploy/shield.service does it, without systemd: what to put before the command.

No user name, no root, two ambient capabilities that cannot grow, a file system that can only be
read, no home directories. Programs and files that a test keeps in places closed to others (a checkout
below /root, pytest's folder) are put back at the same path in a mount namespace of the command's own.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

NOBODY = 65534
CAPABILITIES = "-all,+net_raw,+net_admin"


def confined(writable: Path, *readable: Path, capabilities: str = CAPABILITIES) -> tuple[str, ...]:
    """Words before the command; ``writable`` is made the user's own. Use it with ``Host.popen``.

    ``ip netns exec``, which Host uses, has made a mount namespace already, so nothing outside changes.
    """
    for path in (writable, *writable.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    script = ["set -e", "umask 022", *_mounts(writable, [*_python(), *readable])]
    drop = (
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
        f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", f"--bounding-set={capabilities}",
    )  # fmt: skip
    # HOME is what systemd gives a DynamicUser; the umask is the unit's.
    script.append(f'umask 077; HOME=/ exec {shlex.join(drop)} -- "$@"')
    return ("sh", "-c", "\n".join(script), "confined")


def _python() -> list[Path]:
    """The interpreter and its packages."""
    return [Path(sys.prefix), Path(sys.base_prefix)]


def _mounts(writable: Path, readable: Iterable[Path]) -> list[str]:
    """Shell lines: set paths aside, close what is closed, put the paths back, forbid writing."""
    hidden = {Path("/root"), Path("/home")}
    hidden |= {above for path in (writable, *readable) if (above := _closed(path))}
    # What lies in no closed place stays where it is; what lies in another path comes with it.
    kept = {path for path in readable if hidden & {path, *path.parents}}
    kept = {path for path in kept if not kept & set(path.parents)}
    lines = ["mount -t tmpfs -o mode=700 tmpfs /mnt"]
    places = [
        (f"/mnt/{number}", shlex.quote(str(path))) for number, path in enumerate([writable, *kept])
    ]
    lines += [f"mkdir {aside}; mount --rbind {path} {aside}" for aside, path in places]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(above))}" for above in sorted(hidden)]
    lines += [f"mkdir -p {path}; mount --rbind {aside} {path}" for aside, path in places]
    lines += [f"mount -o remount,bind,ro {path}" for _, path in places[1:]]
    return [*lines, "umount -l /mnt", "mount -o remount,bind,ro /"]


def _closed(path: Path) -> Path | None:
    """The uppermost directory above ``path`` (or itself) that others may not enter."""
    for above in [*reversed(path.parents), path]:
        if not above.stat().st_mode & stat.S_IXOTH:
            return above
    return None
