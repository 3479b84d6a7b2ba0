"""Starts the speaker and keeps it running; passes on what the control socket and signals ask for."""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vrrpd import __version__
from vrrpd.agent.settings import Settings
from vrrpd.channel import (
    Anomalous,
    Answer,
    Apply,
    Begin,
    Entered,
    Holds,
    LogLine,
    Message,
    Ping,
    Proxied,
    SetBurdens,
    SetDrained,
    SetProxied,
    Started,
    Stop,
    TellStatus,
)
from vrrpd.config.model import Config
from vrrpd.config.sealed import SealedConfig
from vrrpd.ledger import Ledger
from vrrpd.speaker import process as speaker_process
from vrrpd.speaker.status import fault_status
from vrrpd.supervisor import log as log_output
from vrrpd.supervisor.apart import Apart
from vrrpd.supervisor.best_effort import BestEffort
from vrrpd.supervisor.child import EXIT_FAILED, Child
from vrrpd.supervisor.claim import claim_namespace
from vrrpd.supervisor.control import Connection, ControlServer
from vrrpd.supervisor.crashes import CRASH_WINDOW, CRASHES_TOLERATED, Crashes
from vrrpd.supervisor.director import Directing
from vrrpd.supervisor.log import hand_on
from vrrpd.supervisor.notify import notify
from vrrpd.supervisor.proxy import Proxying
from vrrpd.supervisor.reading import Outcome, Reading
from vrrpd.supervisor.reload import UNTOUCHED, changes, refusal, summary, told_already, with_directors
from vrrpd.supervisor.requests import Requests
from vrrpd.supervisor.resign import resign_apart
from vrrpd.supervisor.show import show
from vrrpd.supervisor.standby import Standby
from vrrpd.supervisor.status import gather
from vrrpd.supervisor.transitions import Transitions
from vrrpd.supervisor.watcher import Reply, Watching

log = logging.getLogger(__name__)

STOP_TIMEOUT = 5.0
"""Seconds that a speaker gets, beyond the longest advert_int, to hand over and resign before it is killed."""
ANSWER_TIMEOUT = 5.0
"""Seconds that a client waits for a speaker before it is told that there is no answer."""
FORK_RETRY_DELAY = 1.0
EXIT_OK = 0


class Supervisor:
    """The parent process from start to exit.

    Args:
        origin: where the configuration comes from: a file, or what a watcher says of a cluster.
        config: the one to begin with.

    Raises:
        ControlError: the control socket cannot be had.
    """

    def __init__(self, origin: Path | Settings, config: SealedConfig) -> None:
        self._origin = origin
        self._sealed = config
        self._selector = selectors.DefaultSelector()
        self._commands: dict[str, Callable[[Connection], None]] = {
            "status": self._status,
            "ping": self._ping,
            "reload": self._reload,
            "drain": partial(self._set_drained, drained=True),
            "undrain": partial(self._set_drained, drained=False),
            "show": lambda connection: show(connection, self._sealed, self._apart),
        }
        self._control = ControlServer(self._config.control_socket, self._selector, self._commands)
        try:
            self._only_one = claim_namespace()
        except BaseException:  # SystemExit, where a signal ends it while it waits
            self._control.close()
            raise
        self._speaker: Child | None = None
        self._dying: set[Child] = set()
        """Speakers that another has replaced, and that the kernel has not cleared away yet."""
        self._standby = Standby(self._selector, partial(self._fork, standby=True))
        self._apart = Apart(self._selector, self._let_go_in_child)
        self._director = Directing(self._selector, self._let_go_in_child, self._best_effort_says)
        self._proxy = Proxying(self._selector, self._let_go_in_child, self._best_effort_says)
        self._watcher: Watching | None = None
        self._reading: Reading | None = None
        if isinstance(origin, Settings):
            self._watcher = Watching(origin, config, self._selector, self._let_go_in_child, self._apply)
        else:
            self._reading = Reading(origin, config, self._apart)
        self._best_effort: list[BestEffort] = [self._director, self._proxy, *([self._watcher] if self._watcher else ())]
        self._transitions = Transitions(self._tell_of)
        self._ever_started = False
        self._start_at: float | None = 0.0
        self._stopping = False
        self._kill_at: float | None = None
        self._crashes = Crashes()
        self._drained = False
        self._wake = socket.socketpair()
        self._born = time.monotonic()
        self._ledger = Ledger()
        self._requests = Requests(ANSWER_TIMEOUT)
        self._exit_code: int | None = None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code."""
        wake, waker = self._wake
        for end in self._wake:
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        self._selector.register(wake, selectors.EVENT_READ, lambda: self._signalled(wake))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _note_only)
        try:
            while self._exit_code is None:
                self._do_what_is_due()
                for key, _ in self._selector.select(self._pause()):
                    if self._exit_code is None:  # what is left of this round may be about those that are gone
                        key.data()
        finally:
            signal.set_wakeup_fd(-1)
            self._standby.dismiss()
            self._apart.close()
            self._control.close()
            self._selector.close()
            wake.close()
            waker.close()
        return self._exit_code

    def _pause(self) -> float | None:
        times = [self._start_at, self._kill_at, self._standby.due, self._requests.due, self._apart.due]
        times += (log_output.due(), *(child.due for child in self._best_effort))
        due = [when for when in times if when is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._start_speaker()
        if self._kill_at is not None and now >= self._kill_at and self._speaker:
            log.error("the speaker did not stop within %g s; killing it", self._stop_timeout)
            self._kill_at = None
            os.kill(self._speaker.pid, signal.SIGKILL)
        if self._standby.due is not None and now >= self._standby.due:
            self._standby.dismiss()
            self._keep_standby()
        for child in self._best_effort:
            child.do_what_is_due(now)
        self._requests.give_up(now)
        self._apart.do_what_is_due(now)
        log_output.write_waiting()

    def _keep_standby(self) -> None:
        if self._speaker and not self._stopping:
            self._standby.keep()

    def _start_speaker(self) -> None:
        try:
            speaker = self._standby.take() or self._fork(standby=False)
        except OSError as error:
            log.critical("cannot fork a speaker: %s; next try in %g s", error.strerror, FORK_RETRY_DELAY)
            self._start_at = time.monotonic() + FORK_RETRY_DELAY
            return
        speaker.send(Begin(self._sealed.spoken, self._drained, self._director.said.burdens))
        speaker.born = time.monotonic()
        self._speaker = speaker
        self._director.hear_news()
        self._selector.register(speaker.channel, selectors.EVENT_READ, partial(self._speaker_says, speaker))
        self._selector.register(speaker.lifeline, selectors.EVENT_READ, partial(self._speaker_dies, speaker))
        self._selector.register(speaker.pidfd, selectors.EVENT_READ, partial(self._speaker_died, speaker))

    def _fork(self, *, standby: bool) -> Child:
        return Child.fork("speaker", partial(self._become_speaker, standby=standby))

    def _become_speaker(self, channel: socket.socket, *, standby: bool) -> None:
        """In the child: let go of what is the parent's, speak, and exit without running the parent's clean-up."""
        code = EXIT_FAILED
        try:
            self._let_go_in_child()
            code = speaker_process.run(self._sealed.spoken, channel, self._ledger, standby=standby)
        except BaseException:
            log.exception("the speaker failed; please report this")
        finally:
            os._exit(code)

    def _let_go_in_child(self) -> None:
        """A child that kept what is the parent's would not notice that the parent, or another child, has died."""
        signal.set_wakeup_fd(-1)
        for child in (self._speaker, self._standby.child, *(each.child for each in self._best_effort), *self._dying):
            if child:
                child.close()
        for end in self._wake:
            end.close()
        self._apart.close_in_child()
        self._control.abandon()
        self._selector.close()

    def _speaker_says(self, speaker: Child) -> None:
        try:
            data = speaker.channel.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(speaker.channel)
        for message in speaker.inbox.feed(data):
            self._take(speaker, message)

    def _take(self, speaker: Child, message: Message) -> None:
        if isinstance(message, LogLine):
            hand_on(message)
        elif isinstance(message, Holds):
            if speaker is self._speaker:
                self._director.hold(message)
        elif isinstance(message, Started):
            if speaker is not self._speaker:
                return
            self._director.hold_only_news()
            self._ever_started = True
            notify("READY=1")
            self._keep_standby()
            if not self._director.wanted:  # after the speakers: they are waited for
                self._director.configure(self._sealed)
            if self._watcher and not self._watcher.wanted:
                self._watcher.start()
        elif isinstance(message, Answer):
            self._requests.answer(message)
        elif isinstance(message, Entered):
            self._transitions.enter(message)
        elif isinstance(message, Anomalous) and self._watcher:
            self._watcher.tell(message)

    def _tell_of(self, entered: Entered) -> None:
        self._director.enter(entered)
        if self._watcher:
            self._watcher.tell(entered)

    def _best_effort_says(self, message: Message) -> None:
        if isinstance(message, LogLine):
            hand_on(message)
            if self._watcher and message.level >= logging.ERROR:
                self._watcher.tell(message)
        elif isinstance(message, SetBurdens):
            self._director.said = message
            if self._speaker:
                self._speaker.send(message)
        elif isinstance(message, SetProxied):
            self._director.proxied = message.table
            self._proxy.serve(message)
        elif isinstance(message, Proxied):
            self._director.tell(message)

    def _speaker_dies(self, speaker: Child) -> None:
        """It can do nothing any more, and is not gone yet: the standby need not wait for that."""
        self._selector.unregister(speaker.lifeline)
        self._replace(speaker)

    def _replace(self, speaker: Child) -> None:
        """Have another go on, unless that is done already, or it was to stop, or it could not even start."""
        if self._speaker is speaker and not self._stopping and self._ever_started:
            self._speaker = None
            self._dying.add(speaker)
            self._restart(speaker)

    def _speaker_died(self, speaker: Child) -> None:
        while speaker.channel in self._selector.get_map():  # what it said before it died
            self._speaker_says(speaker)
        if speaker.lifeline in self._selector.get_map():
            self._selector.unregister(speaker.lifeline)
        self._replace(speaker)
        _, status = os.waitpid(speaker.pid, 0)
        self._selector.unregister(speaker.pidfd)
        speaker.close()
        self._dying.discard(speaker)
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if self._stopping and self._speaker in (speaker, None):
            if code:
                log.error("the speaker %s while it was to stop: removing what it may have left", how)
                resign_apart(self._config, self._ledger)
            self._end(EXIT_OK if code == 0 else EXIT_FAILED)
        elif not self._ever_started:
            log.critical("the speaker could not start")
            resign_apart(self._config, self._ledger)
            self._end(EXIT_FAILED)
        else:
            log.error("speaker %d %s", speaker.pid, how)

    def _restart(self, speaker: Child) -> None:
        self._requests.give_up()
        if pause := self._crashes.add(speaker.born):
            log.critical(
                "the speaker, %d, died for the %dth time within %g s: resigning and removing the virtual addresses; "
                "every router is in FAULT; next try in %g s",
                *(speaker.pid, CRASHES_TOLERATED, CRASH_WINDOW, pause),
            )
            resign_apart(self._config, self._ledger)
            self._director.hold_nothing()
            self._transitions.fail("the speaker keeps crashing", {each.name for each in self._config.instances})
            self._start_at = time.monotonic() + pause
        else:
            self._start_speaker()  # before anything that could wait, such as the log
            log.error("speaker %d died; another goes on", speaker.pid)

    @property
    def _stop_timeout(self) -> float:
        return STOP_TIMEOUT + max((instance.advert_int for instance in self._config.instances), default=0.0)

    def _signalled(self, wake: socket.socket) -> None:
        for number in wake.recv(64):
            if number == signal.SIGHUP and not self._stopping:
                self._load_and_apply(told_already)
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop()

    def _stop(self) -> None:
        if self._stopping:
            log.info("stopping at once")
            if self._speaker:
                self._speaker.send(Stop())
            return
        self._stopping = True
        log.info("stopping")
        if self._watcher:
            self._watcher.dismiss()
            if not self._watcher.settings.release_vips:
                self._abandon()
                return
        notify("STOPPING=1")
        self._start_at = None
        if self._speaker is None:  # it kept crashing, or no other one could be forked
            resign_apart(self._config, self._ledger)
            self._end(EXIT_OK)
            return
        self._kill_at = time.monotonic() + self._stop_timeout
        self._speaker.send(Stop())

    def _abandon(self) -> None:
        """End as if killed: the addresses stay until their lease ends, virtual servers until another life."""
        log.info("the virtual addresses stay until their lease ends")
        self._standby.dismiss()
        for child in (self._director, self._proxy):
            child.dismiss()
        if self._speaker:
            os.kill(self._speaker.pid, signal.SIGKILL)
            os.waitpid(self._speaker.pid, 0)
        self._exit_code = EXIT_OK

    def _end(self, code: int) -> None:
        """The addresses are gone; now the virtual servers go, the proxy, and then we."""
        self._speaker, self._kill_at = None, None
        self._director.stop(lambda directors: self._proxy.stop(partial(self._ended, code, directors)))

    def _ended(self, speakers: int, directors: int, _proxies: int) -> None:
        self._exit_code = speakers or (EXIT_FAILED if directors else EXIT_OK)

    def _ask(self, message: Callable[[int], Message], reply: Reply) -> None:
        if self._speaker is None:
            reply({"ok": False, "error": "the speaker is not running; look at its log"})
            return

        def answered(result: dict[str, Any] | None) -> None:
            failure = f"the speaker died, or did not answer within {ANSWER_TIMEOUT:g} s; look at its log"
            reply({"ok": False, "error": failure} if result is None else {"ok": True, "result": result})

        self._speaker.send(message(self._requests.begin(answered)))

    def _ping(self, connection: Connection) -> None:
        """Whether those turn that nobody does without."""
        if self._speaker is None:
            connection.answer({"ok": True, "result": {}})
        else:
            self._ask(Ping, connection.answer)

    def _status(self, connection: Connection) -> None:
        gather(self._director, self._watcher, partial(self._status_with, connection))

    def _status_with(self, connection: Connection, others: dict[str, Any]) -> None:
        def reply(answer: dict[str, Any]) -> None:
            if answer["ok"]:
                answer["result"] = self._about() | answer["result"] | others
            connection.answer(answer)

        if self._speaker is None:
            reason = "the daemon is stopping" if self._stopping else "the speaker keeps crashing; look at the log"
            routers = [fault_status(instance, reason) for instance in self._config.instances]
            reply({"ok": True, "result": {"routers": routers}})
        else:
            self._ask(TellStatus, reply)

    def _set_drained(self, connection: Connection, *, drained: bool) -> None:
        if self._refuse_when_stopping(connection):
            return
        self._drained = drained
        if self._speaker is None:  # the next one will be told
            connection.answer({"ok": True, "result": {}})
            return
        self._ask(lambda request: SetDrained(request, drained), connection.answer)

    def _refuse_when_stopping(self, connection: Connection) -> bool:
        if self._stopping:
            connection.answer({"ok": False, "error": "the daemon is stopping"})
        return self._stopping

    def _about(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "uptime_seconds": round(time.monotonic() - self._born, 3),
            "configuration": str(self._origin),
            "processes": {
                "supervisor": os.getpid(),
                "speaker": self._speaker.pid if self._speaker else None,
                **{each.what: each.child.pid if each.child else None for each in self._best_effort},
            },
            "speaker_restarts": self._crashes.count,
            "director_restarts": self._director.restarts,
            "proxy_restarts": self._proxy.restarts,
            "drained": self._drained,
        }

    def _reload(self, connection: Connection) -> None:
        if not self._refuse_when_stopping(connection):
            self._load_and_apply(connection.answer)

    def _load_and_apply(self, reply: Reply) -> None:
        reading, origin = self._reading, self._origin
        if reading is None:
            error = f"there is no file to reload: the configuration is what {origin} says, and follows it by itself"
            reply({"ok": False, "error": error})
            return

        def applied(answer: dict[str, Any]) -> None:
            if answer["ok"]:
                log.info("reloaded %s: %s", origin, summary(answer["result"]))
            reply(answer)

        def read(outcome: Outcome) -> None:
            if self._stopping:
                reply({"ok": False, "error": "the daemon is stopping"})
            elif isinstance(outcome, SealedConfig):
                self._apply(outcome, applied)
            else:
                log.error("reload refused, nothing changed:\n%s", outcome)
                reply(refusal(outcome))

        reading.read(read)

    @property
    def _config(self) -> Config:
        """The configuration in force, without virtual servers, which are none of the supervisor's business."""
        return self._sealed.speakers

    def _apply(self, config: SealedConfig, reply: Reply) -> None:
        """Make `config` the one in force; the reply says what that came to."""
        before = self._sealed
        changed = changes(before, config)
        config = replace(config, speakers=replace(config.speakers, control_socket=before.speakers.control_socket))

        def applied(answer: dict[str, Any]) -> None:
            if answer["ok"]:
                answer["result"] |= changed
            # The one that is in force by now: another reload may have overtaken this one.
            self._director.configure(self._sealed, lambda directors: reply(with_directors(answer, directors)))

        self._sealed = config
        if self._speaker is None:  # the next one begins with it
            applied({"ok": True, "result": {}})
        elif config.spoken == before.spoken:
            applied({"ok": True, "result": dict(UNTOUCHED)})
        else:
            self._ask(lambda request: Apply(request, config.spoken), applied)
            self._standby.renew_soon()


def _note_only(_number: int, _frame: object) -> None:
    """Signals are handled by their number on the wake-up descriptor; this keeps their default action away."""
