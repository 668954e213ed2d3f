"""systemd as process 1 of a host of a test, so that deploy/shield.service runs as it would on a machine.

Namespaces keep everything apart: processes, mounts, host name, network (the host's own) and control
groups. What systemd and the service write lies in memory: /run, /var/lib and a copy of /etc. Of the
machine's units none is there; only what the test gives and empty targets start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.system.site import LEGACY, ROOT, Site

SYSTEMD = Path("/usr/lib/systemd/systemd")
DEPLOY = ROOT / "deploy"

OUTER = """\
mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir "/sys/fs/cgroup/$2" || exit
unshare --fork --kill-child --pid --mount --uts --ipc sh -c '
    echo 0 >"/sys/fs/cgroup/$2/cgroup.procs" && exec unshare --cgroup sh -ec "$3" inner "$1"' \
    middle "$1" "$2" "$3" &
child=$!
# unshare itself ends by no other signal, and its end is the end of all processes inside.
trap 'kill -KILL $child' TERM
wait $child
for _ in 1 2 3 4 5 6 7 8 9; do
    find "/sys/fs/cgroup/$2" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -e "/sys/fs/cgroup/$2" ] || break
    sleep 0.1
done
"""
"""Arguments: the test's folder, a name, the script for the inside. Its own mounts go with it."""

INNER = """\
read -r pid rest </proc/self/stat
mount -t tmpfs -o mode=755 tmpfs /mnt
cp -a /etc /mnt/etc
rm -rf /mnt/etc/systemd/system /mnt/etc/shield
cp -r "$1/units" /mnt/etc/systemd/system
cp -r "$1/etc" /mnt/etc/shield
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
for path in /run /var/lib /usr/lib/systemd/system /usr/lib/systemd/system-generators; do
    mount -t tmpfs -o mode=755 tmpfs $path
done
mount --bind /mnt/etc /etc
mount --bind "$1/console.log" /dev/console
hostname sensor
echo "$pid" >"$1/systemd.pid"
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    "$0" --system --unit=default.target --log-target=console --show-status=no
"""

TARGETS = ("basic", "sysinit", "shutdown", "network-online", "multi-user")

DROP_IN = """\
[Service]
# As strict as the unit's `yes`, but what a test keeps below /root or /tmp can be put back.
ProtectHome=tmpfs
BindReadOnlyPaths={paths}
StandardError=append:{log}
"""


class Service:
    """The service ``shield`` in the registrar's host of a site."""

    def __init__(self, site: Site, *drop_ins: Path) -> None:
        self.site = site
        folder = site.folder
        units, etc = folder / "units", folder / "etc"
        for path in (units / "shield.service.d", etc):
            path.mkdir(parents=True)
        shield = Path(sys.executable).parent / "shield"
        text = (DEPLOY / "shield.service").read_text()
        (units / "shield.service").write_text(text.replace("/opt/shield/bin/shield", str(shield)))
        for drop_in in drop_ins:
            (units / "shield.service.d" / drop_in.name).write_text(drop_in.read_text())
        paths = " ".join(str(path) for path in (ROOT, sys.prefix, sys.base_prefix))
        (units / "shield.service.d" / "test.conf").write_text(DROP_IN.format(paths=paths, log=site.log))
        for target in TARGETS:
            (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        (units / "default.target").write_text("[Unit]\nRequires=shield.service\n")
        (folder / "console.log").touch()
        self.config = etc / "shield.toml"
        self._pid = 0

    def boot(self) -> None:
        """Start systemd, and with it the service; wait until the node answers."""
        inner = INNER.replace('"$0"', f'"{SYSTEMD}"')
        words = ("sh", "-c", OUTER, "outer", str(self.site.folder), f"slab-{os.getpid()}", inner)
        prefix = LEGACY if self.site.backend == "iptables-legacy" else ()
        with (self.site.folder / "boot.log").open("w") as output:
            self.site.sensor.popen(*prefix, *words, stdout=output, stderr=output)
        told = self.site.folder / "systemd.pid"
        self.site.until(lambda: told.exists() and told.read_text().endswith("\n"), 5)
        self._pid = int(told.read_text())
        self.site.reach(f"{self.root}/run/shield/shield.sock")
        self.site.until(lambda: self.show("ActiveState") in {"active", "failed"}, 15)
        self.site.until(self.site.answers, 10)

    @property
    def root(self) -> Path:
        """The file system that systemd sees."""
        return Path(f"/proc/{self._pid}/root")

    def systemctl(self, *words: str) -> Any:
        """Run systemctl inside."""
        return subprocess.run(
            ["nsenter", "-t", str(self._pid), "-a", "systemctl", "--no-pager", *words],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    def show(self, name: str) -> str:
        """One property of the service, empty while systemd does not answer yet."""
        return str(self.systemctl("show", "-p", name, "--value", "shield").stdout).strip()

    def status(self) -> dict[str, str]:
        """/proc/PID/status of the service's process."""
        lines = (self.root / "proc" / self.show("MainPID") / "status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines)

    def kill(self) -> None:
        """Kill -9 the service's process, and wait until another one answers."""
        before = self.show("MainPID")
        self.systemctl("kill", "--kill-whom=main", "--signal=KILL", "shield")
        self.site.client.close()
        end = time.monotonic() + 10
        while self.show("MainPID") in {before, "0"}:
            assert time.monotonic() < end, self.site.logs()
            time.sleep(0.05)
        self.site.until(self.site.answers, 10)
