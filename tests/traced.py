"""What a process and its children did at the system's doors, native code included: strace's word for it.

`python -m tests.traced --install` is part of `make test`.
"""

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WRITES = {
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
}
WRITES |= {"symlinkat", "truncate", "unlink", "unlinkat", "rmdir"}
OPENS = {"open", "openat", "openat2"}
_INET = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"')


def strace(folder: Path) -> list[str]:
    """The words before a command. -ff writes a file for each thread, so that no call is torn in two lines."""
    calls = ",".join(["network", "io_uring_setup", *sorted(OPENS | WRITES)])
    return [
        *("strace", "-ff", "--seccomp-bpf", "-I3", "-qq", "-y", "-e", f"trace={calls}", "-e", "signal=none"),
        *("-o", f"{folder}/t"),
    ]


def deeds(folder: Path, ours: tuple[Path, ...], cwd: Path) -> tuple[set[str], set[str]]:
    """Where it turned to beyond the loopback or for names, and what it made, changed or removed outside our folders."""
    away, outside = set(), set()
    for line in "".join(file.read_text("utf-8", "replace") for file in folder.glob("t.*")).splitlines():
        name, _, rest = line.partition("(")
        if name == "io_uring_setup":
            away.add(f"{name}: hides what follows")
        elif name in {"connect", "bind", "sendto", "sendmsg", "sendmmsg"}:
            for port, host in _INET.findall(rest):
                address = ipaddress.ip_address(host)
                if port == "53" or not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
                    away.add(f"{name} {host} {port}")
            away.update(f"{name} {path}" for path in re.findall(r'sun_path=@?"([^"]*)"', rest))
        elif name in WRITES or (name in OPENS and re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest)):
            for base, text in _PATH.findall(rest):
                path = Path(os.path.normpath(cwd / _plain(base) / _plain(text)))
                if path.parent != Path("/dev") and not any(path.is_relative_to(place) for place in ours):
                    outside.add(f"{name} {path}")
    return away, outside


def _plain(text: str) -> str:
    return text.encode().decode("unicode_escape").encode("latin-1").decode()


def install() -> None:
    """Install it if it is not there; what the installer says goes to the terminal."""
    if sys.platform == "linux" and not shutil.which("strace") and shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*sudo, "apt-get", "update", "-q"], check=False)
        subprocess.run([*sudo, "apt-get", "install", "-y", "-q", "strace"], check=False)


if __name__ == "__main__" and "--install" in sys.argv:
    install()
    print(f"strace for the test that nothing is reported: {shutil.which('strace') or 'none could be installed'}")
