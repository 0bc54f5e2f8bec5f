"""What a child gives up before it touches a model: network, rights, core dumps, outliving its parent. No engine.

Everything here is the calling process's own and needs no privilege. Linux only where it says so; elsewhere the
functions do nothing and say so by their result.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import socket
import struct
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2

# (audit number of the architecture, number of socket(2)); io_uring_setup(2) is 425 on both.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
_CAP_DAC_READ_SEARCH = 2
_CAPABILITIES = 64  # there are 41; the kernel refuses the rest
_CAPABILITY_VERSION = 0x20080522  # version 3: two words of 32 bits for each set

_X32 = 0x40000000  # system calls of the x32 dialect start here


def die_with_parent() -> None:
    """Linux: be killed when the thread that started this process ends, however it ends."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def be_first_to_go() -> None:
    """Linux: when memory runs out, let the kernel end this process before any other."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 (no pathlib in the child's start)
        file.write("1000")


def no_core_dumps() -> None:
    """A dump of this process would hold prompts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_data(limit: int) -> None:
    """Refuse to map more than ``limit`` bytes of private memory; mapped model files do not count."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def cut_network() -> str:
    """Leave the network for good, and try whether it is gone: ``none`` or ``shared``.

    There are two ways. The filter refuses sockets other than Unix ones and needs only a kernel with seccomp. A network
    namespace of its own also hides abstract Unix sockets, but many systems forbid it, and to root it is a loss: in the
    user namespace that comes with it, root may no longer read other people's model files. So both are taken, the second
    by root only if there is no other way. Call this while the process has one thread: no way reaches other threads.
    """
    if sys.platform == "linux":
        filtered = refuse_sockets()
        if os.geteuid() != 0 or not filtered:
            own_network_namespace()
    return "shared" if _reaches_loopback() else "none"


def own_network_namespace() -> bool:
    """Linux: move into a new user and network namespace; False where that is not allowed."""
    user, group = os.geteuid(), os.getegid()
    if _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Keep our own ids instead of "nobody". Without it files are still opened with our rights.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 (as above)
            file.write(text)
    return True


def drop_rights(*files: str) -> bool:
    """Linux: give up every capability for good, also as root; whether all of them are gone.

    As root, a process could otherwise read its parent's memory and environment, where the providers' keys are. Another
    user's file among ``files`` that root alone may open keeps one right alive: to read any file. Call this while the
    process has one thread.
    """
    if sys.platform != "linux":
        return False
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    needed = [path for path in files if _can_read(path)]
    reading = 1 << _CAP_DAC_READ_SEARCH
    if not _set_capabilities(libc, effective=0, permitted=reading):
        return _set_capabilities(libc, effective=0, permitted=0)  # it was never ours
    if all(_can_read(path) for path in needed):
        return _set_capabilities(libc, effective=0, permitted=0)
    _set_capabilities(libc, effective=reading, permitted=reading)
    return False


def _set_capabilities(libc: ctypes.CDLL, *, effective: int, permitted: int) -> bool:
    # struct __user_cap_header_struct: version, pid; then twice effective, permitted, inheritable.
    header = struct.pack("@Ii", _CAPABILITY_VERSION, 0)
    data = struct.pack("@6I", effective, permitted, 0, 0, 0, 0)
    return bool(libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(data)) == 0)


def _can_read(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def refuse_sockets() -> bool:
    """Linux: from now on socket(2) makes Unix sockets only; False on kernels and processors without the filter."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return False
    program = _socket_filter(*known)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count of instructions, padding, a pointer to them.
    descriptor = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(descriptor), 0, 0) == 0)


def _socket_filter(architecture: int, socket_call: int) -> bytes:
    """The filter as classic BPF over struct seccomp_data: number at 0, architecture at 4, first argument at 16."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow, deny = 0x7FFF0000, 0x00050000 | errno.EACCES
    lines = [
        (load, 0, 0, 4),
        (equal, 0, 7, architecture),  # a foreign dialect of system calls: deny
        (load, 0, 0, 0),
        (at_least, 5, 0, _X32),  # the same
        (equal, 4, 0, _IO_URING_SETUP),  # it can make sockets without socket(2): deny
        (equal, 0, 2, socket_call),
        (load, 0, 0, 16),
        (equal, 0, 1, socket.AF_UNIX),
        (give, 0, 0, allow),
        (give, 0, 0, deny),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _reaches_loopback() -> bool:
    """Whether this process can still speak to 127.0.0.1; nobody needs to listen there."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", 9)) in {0, errno.ECONNREFUSED}
    except OSError:
        return False


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
