"""Anonymous network and mount namespaces, and the way into them without being root.

Python 3.11 has neither `os.unshare` nor `os.setns`, and namespaces belong to threads: hence one thread for each.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 1 << 18
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(RuntimeError):
    """The kernel does not let this process make namespaces; the message says what is missing."""


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "unshare")


def _enter_network(descriptor: int) -> None:
    _checked(_libc.setns(descriptor, _CLONE_NEWNET), "setns")


def _open_network() -> int:
    """The calling thread's network namespace as a descriptor, which keeps it alive."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """A network namespace, a mount namespace, and the one thread that lives in both.

    The thread is what programs are started from: the kernel's PR_SET_PDEATHSIG speaks of the death of the *thread* that
    forked, and this one lives until `close`.

    Args:
        name: for the thread, as a debugger shows it.
        private: directories that are to be empty and the namespace's own.

    Raises:
        OSError: no right to make a namespace, or no such directory.
    """

    def __init__(self, name: str, private: Sequence[str] = ()) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"netns-{name}")
        self._children: list[subprocess.Popen[Any]] = []
        try:
            self.descriptor = self.call(self._settle, private)
        except BaseException:
            self._thread.shutdown()
            raise

    @staticmethod
    def _settle(private: Sequence[str]) -> int:
        _unshare(_CLONE_NEWNET | (_CLONE_NEWNS if private else 0))
        if private:
            _mount_empty(private)
        return _open_network()

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the namespaces, and hand back what it returns or raises.

        A socket keeps the network that it was made in, so `call(socket.socket, ...)` is all it takes to own one there.
        """
        return self._thread.submit(function, *args, **kwargs).result()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread, and no other, uses this network inside the block (its files stay what they are)."""
        before = _open_network()
        try:
            _enter_network(self.descriptor)
            try:
                yield
            finally:
                _enter_network(before)
        finally:
            os.close(before)

    def popen(self, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in the namespaces; it is killed when this process dies or the namespace is closed.

        It gets a session of its own, so that a terminal's Ctrl-C is ours to handle, and no standard input.

        Args:
            argv: the command line.
            kwargs: as of `subprocess.Popen`.

        Raises:
            OSError: no such program.
        """
        owner = os.getpid()

        def die_with_owner() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != owner:  # it died before we asked
                os._exit(1)

        kwargs = {"stdin": subprocess.DEVNULL, "start_new_session": True} | kwargs
        # preexec_fn is unsafe where it takes locks; this one makes two system calls.
        child = self.call(subprocess.Popen, argv, preexec_fn=die_with_owner, **kwargs)  # type: ignore[arg-type]
        self._children.append(child)
        return child

    def close(self) -> None:
        """Kill what still runs inside, and let the kernel have the namespaces back."""
        for child in self._children:
            child.kill()
            child.wait()
        _kill_inhabitants(os.fstat(self.descriptor), "net")
        os.close(self.descriptor)
        self._thread.shutdown()


_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """Somebody wants this program to end: a person at the terminal, an administrator, or the terminal that closes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        """Of the signal."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise `Interrupted` inside the block, once; also where a shell had them ignored."""

    def interrupt(number: int, _frame: object) -> None:
        _ignore_interruptions()
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_interruptions() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def nothing_left_behind(directory: str) -> Iterator[None]:
    """Inside the block this process has a mount namespace of its own, with an empty `directory`; nothing outlives it.

    What is started inside, and what that starts in turn, is dead when the block ends, however it ends, and soon after
    this process was killed, stopped processes included. A guardian process sees to it: it knows them by the mount
    namespace, so hosts are to be made without private directories. Signals that interrupt a program are ignored from the
    end of the block on: it is ending anyway.

    Enter it before any thread is started.

    Raises:
        OSError: no right to make a mount namespace, or no such directory.
    """
    before = os.stat("/proc/self/ns/mnt")
    _unshare(_CLONE_NEWNS)
    ours = os.stat("/proc/self/ns/mnt")
    assert not os.path.samestat(before, ours), "else the guardian would kill the whole machine"
    _mount_empty([directory])
    # Orphans come to this process, so that it can bury them.
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    watched, alive = os.pipe()
    if not os.fork():
        _guard(watched, alive, ours)
    os.close(watched)
    try:
        yield
    finally:
        _ignore_interruptions()
        os.close(alive)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


def _guard(watched: int, alive: int, world: os.stat_result) -> NoReturn:
    """Wait until nobody holds the other end of the pipe, then kill what is in the mount namespace; then exit."""
    try:
        os.setsid()
        _ignore_interruptions()
        os.close(alive)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):  # nobody is to wait for what this process might print
            os.dup2(nowhere, standard)
        os.read(watched, 1)
        _kill_inhabitants(world, "mnt", but=os.getppid())
    finally:
        os._exit(0)


def _mount_empty(directories: Sequence[str]) -> None:
    # Else what is mounted here would appear on the machine as well.
    _checked(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")
    for directory in directories:
        _checked(_libc.mount(b"tmpfs", directory.encode(), b"tmpfs", 0, b"mode=755"), f"mount {directory}")


def _inhabitants(namespace: os.stat_result, kind: str) -> set[int]:
    found = set()
    for entry in os.scandir("/proc"):
        # A process that is gone, or not ours to look at, is none of ours.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.path.samestat(os.stat(f"/proc/{entry.name}/ns/{kind}"), namespace):
                found.add(int(entry.name))
    return found


def _kill_inhabitants(namespace: os.stat_result, kind: str, *, but: int = 0) -> None:
    """Kill grandchildren too, which outlive a parent that was killed; they would keep the namespace alive."""
    deadline = time.monotonic() + 5
    while (pids := _inhabitants(namespace, kind) - {os.getpid(), but}) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _may_make_networks() -> bool:
    """Whether a thread of this process can make a network namespace and be its administrator."""
    outcome: list[bool] = []

    def attempt() -> None:
        try:
            _unshare(_CLONE_NEWNET)
            # AppArmor may grant the user namespace and still withhold its capabilities.
            Path("/proc/sys/net/ipv4/ip_forward").write_text("0", encoding="ascii")
        except OSError:
            outcome.append(False)
        else:
            outcome.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    # A thread's directory outlives join() by a moment, and unshare(CLONE_NEWUSER) wants a process of one thread.
    while len(os.listdir("/proc/self/task")) > threading.active_count():
        time.sleep(0.001)
    return outcome[0]


def _read_setting(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None


def what_is_missing() -> str:
    """Why this process can make no namespaces, and the remedy, in one line."""
    remedy = "run as root, or in a container with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW"
    if os.geteuid() == 0:
        return f"root lacks CAP_SYS_ADMIN or CAP_NET_ADMIN here (a container?): {remedy}"
    for path, blocking, setting in (
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        if _read_setting(path) == blocking:
            return f"user namespaces are closed to users here: sysctl -w {setting}, or {remedy}"
    return f"the kernel, or a seccomp filter of the container, refuses user namespaces: {remedy}"


def enter_user_namespace_if_needed() -> bool:
    """Give a process without rights a user namespace in which it is root over the networks it makes.

    Call it before any thread is started: the kernel moves single-threaded processes only.

    Returns:
        Whether the process moved; False: it had the rights already.

    Raises:
        NamespaceError: neither works; the message names the sysctl or the capability that is missing.
    """
    if _may_make_networks():
        return False
    if threading.active_count() > 1:
        raise NamespaceError("a user namespace must be entered before the first thread starts")
    # Now: inside a namespace without a mapping everybody is nobody.
    uid, gid, missing = os.geteuid(), os.getegid(), what_is_missing()
    try:
        _unshare(_CLONE_NEWUSER)
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{name}").write_text(content, encoding="ascii")
    except OSError as error:
        raise NamespaceError(f"cannot make network namespaces ({error}): {missing}") from error
    if not _may_make_networks():
        raise NamespaceError(f"cannot administer network namespaces: {missing}")
    return True
