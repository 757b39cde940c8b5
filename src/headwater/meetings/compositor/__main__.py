"""The compositor's process: `python -m headwater.meetings.compositor`, with a socket to its parent as standard input.

It ends by itself when the parent is gone, at SIGTERM, and when it cannot go on: with FATAL where a new start would not
help, with exit code 1 where it might.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import threading
import traceback

import av.logging

from headwater.errors import CallerError, HeadwaterError, OperatorError, ProtocolError, PublishRefused
from headwater.meetings.compositor import intake, wire
from headwater.meetings.compositor.intake import Intake, Meeting
from headwater.meetings.compositor.output import Output
from headwater.meetings.compositor.settings import Job
from headwater.protocols.rtmp.client import parse_url
from headwater.testcard.publisher import Progress, Publisher

REPORT_S = 1.0
JOB_TIMEOUT_S = 10.0
GOODBYE_S = 2.0


class Child:
    """One broadcast."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent = parent
        self._sending = threading.Lock()
        self._stopping = threading.Event()
        self._meeting = Meeting()
        self._failed = False

    def run(self) -> int:
        """Compose until the end; returns the exit code."""
        try:
            reader, job, rest = self._job()
        except (OSError, ProtocolError):
            return 1  # the parent went before it said what for
        try:
            output = Output(self._meeting, job)
            return asyncio.run(self._publish(job, output, reader, rest))
        except PublishRefused as error:
            self._fatal(f"the ingest refuses the broadcast: {error.description}")
        except (OperatorError, CallerError) as error:
            self._fatal(str(error))
        return 0

    def _job(self) -> tuple[wire.Reader, Job, list[tuple[int, bytes]]]:
        """The first message; what came with it is for the intake."""
        reader, messages = wire.Reader(), list[tuple[int, bytes]]()
        self._parent.settimeout(JOB_TIMEOUT_S)
        while not messages:
            data = self._parent.recv(intake.READ_BYTES)
            if not data:
                raise ProtocolError("the parent closed before the job")
            messages = reader.feed(data)
        self._parent.settimeout(None)
        kind, body = messages[0]
        if kind != wire.Type.JOB:
            raise ProtocolError("the first message is the job")
        return reader, wire.read(body, Job), messages[1:]

    async def _publish(self, job: Job, output: Output, reader: wire.Reader, first: list[tuple[int, bytes]]) -> int:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        url = parse_url(job.url)
        # The ingest of this machine has a certificate for its public name, and nobody stands in between.
        publisher = Publisher(
            output,
            url,
            insecure=url.host in ("127.0.0.1", "::1", "localhost"),
            changed=lambda progress: self._report(output, progress),
        )
        feed = Intake(self._meeting, self._ask)
        thread = threading.Thread(
            target=self._take_in, args=(feed, reader, first, loop, ended), name="intake", daemon=True
        )
        thread.start()
        tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(ended.wait())]
        reports = asyncio.create_task(self._report_regularly(output, publisher.progress))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()  # raises why
        finally:
            self._stopping.set()
            for task in (*tasks, reports):
                task.cancel()
            await asyncio.gather(*tasks, reports, return_exceptions=True)
            await asyncio.to_thread(thread.join, GOODBYE_S)
        return 1 if self._failed else 0

    def _take_in(
        self,
        feed: Intake,
        reader: wire.Reader,
        first: list[tuple[int, bytes]],
        loop: asyncio.AbstractEventLoop,
        ended: asyncio.Event,
    ) -> None:
        try:
            intake.run(self._parent, feed, self._stopping, reader, first)
        except Exception:
            self._failed = True
            traceback.print_exc()
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:  # it ended before
            pass

    async def _report_regularly(self, output: Output, progress: Progress) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            self._report(output, progress)

    def _report(self, output: Output, progress: Progress) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        counters, painter = self._meeting.counters, output.painter
        report = wire.Report(
            state=progress.state,
            reason=progress.reason,
            connections=progress.connections,
            passing=output.passing.active,
            frames=output.frames,
            skipped=output.skipped,
            cpu_s=used.ru_utime + used.ru_stime,
            counters={
                "broken_packets": counters.broken_packets,
                "decode_errors": counters.decode_errors,
                "incomplete_pictures": counters.incomplete,
                "overflows": counters.overflows,
                "keyframes_asked": counters.keyframes_asked,
                "passed_on": output.passing.passed,
                "pictures_scaled": painter.canvas.scaled,
                "pictures_repeated": painter.repeated,
                "pictures_late": painter.late,
                "pictures_dropped": progress.dropped,
                **self._meeting.mixer.totals(),
            },
        )
        self._send(wire.message(wire.Type.STATE, report))

    def _ask(self, track: int) -> None:
        self._send(wire.keyframe(track))

    def _fatal(self, reason: str) -> None:
        self._send(wire.message(wire.Type.FATAL, wire.Fatal(reason)))

    def _send(self, data: bytes) -> None:
        """To the parent, which always reads; a parent that is gone is noticed by the intake."""
        with self._sending:
            try:
                self._parent.sendall(data)
            except OSError:
                pass


def main() -> int:
    """Run one broadcast; the exit code."""
    parent = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(None)
    try:
        return Child(parent).run()
    except HeadwaterError as error:
        print(f"compositor: {error}", file=sys.stderr)
        return 1
    finally:
        parent.close()


if __name__ == "__main__":
    sys.exit(main())
