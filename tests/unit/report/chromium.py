"""Chromium without a window, driven over its debugging pipe: standard library only.

Messages are JSON, each ended by a NUL: Chromium reads commands from file descriptor 3 and writes
answers and events to 4 (``--remote-debugging-pipe``).  Every wait ends after a stated time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
    *("--no-first-run", "--no-default-browser-check", "--disable-extensions", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)
WAIT_S = 30.0
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27,
        "Home": 36, "End": 35, "Tab": 9, "Enter": 13}  # fmt: skip


def executable() -> str | None:
    """Return the path of Chromium or Chrome, None if there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if (path := shutil.which(name)) is not None:
            return path
    return None


class BrowserError(Exception):
    """Chromium said no, or nothing in time."""


class Browser:
    """A process of Chromium; close it, or use it in a ``with``.

    Parameters
    ----------
    program : str
        Path of the executable.
    folder : Path
        For its profile and what it prints.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.log = folder / "chromium.log"
        self._number = 0
        self._buffer = b""
        self.events: list[dict] = []
        # Away from 3 and 4, which the child's ends become.
        pipes = [*os.pipe(), *os.pipe()]
        to_read, self._out, self._in, to_write = (
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipes
        )
        for end in pipes:
            os.close(end)
        arguments = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._pid: int | None = os.posix_spawn(
            program, arguments, {**os.environ, "HOME": str(folder)}, setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, to_read, 3),
                (os.POSIX_SPAWN_DUP2, to_write, 4),
            ],
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and its children, whatever state they are in."""
        if self._pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._pid = None
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict:
        """Send a command and return its result; events meanwhile are kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        end = time.monotonic() + WAIT_S
        while True:
            answer = self._next(end, method)
            if answer.get("id") == self._number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait_for(self, method: str, session: str) -> dict:
        """Return the first event of a name, waiting for it if need be, and forget it."""
        end = time.monotonic() + WAIT_S
        while True:
            for k, event in enumerate(self.events):
                if event.get("method") == method and event.get("sessionId") == session:
                    return self.events.pop(k)
            self.events.append(self._next(end, method))

    def _next(self, end: float, what: str) -> dict:
        """Return the next message of the browser."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise BrowserError(f"{what}: no answer within {WAIT_S:g} s; see {self.log}")
            if not (data := os.read(self._in, 1 << 20)):
                raise BrowserError(f"{what}: Chromium has ended; {self.log.read_text()[-1500:]}")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


class Tab:
    """A page of a browser, and a reader's hands on it.

    Parameters
    ----------
    browser : Browser
    width, height : int
        Of the window [CSS px].
    """

    def __init__(self, browser: Browser, width: int = 1400, height: int = 900) -> None:
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method: str, **parameters: object) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)

    def resize(self, width: int, height: int, ratio: float = 1, mobile: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=ratio, mobile=mobile)  # fmt: skip

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.call("Page.navigate", url=path.as_uri())
        self.browser.wait_for("Page.loadEventFired", self.session)

    def events(self, method: str) -> list[dict]:
        """Return the parameters of all events of a name so far."""
        wanted = (method, self.session)
        return [
            event["params"]
            for event in self.browser.events
            if (event.get("method"), event.get("sessionId")) == wanted
        ]

    def run(self, script: str) -> object:
        """Return the value of a JavaScript expression, of its promise if it is one."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True)  # fmt: skip
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str) -> object:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + WAIT_S
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise BrowserError(f"{script}: not true within {WAIT_S:g} s")
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def settle(self) -> None:
        """Wait until what was asked for is drawn: two frames of the screen."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
                 ".then(() => true)")  # fmt: skip

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def hover(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)
        self.settle()

    def click(self, x: float, y: float, count: int = 1) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=count)
        self.settle()

    def press(self, selector: str) -> None:
        """Click the middle of an element, which is scrolled into view."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
            "})()"
        )
        self.click(*place)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 4) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left", clickCount=1)
        for k in range(1, steps + 1):
            at = [a + (b - a) * k / steps for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *at, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)
        self.settle()

    def key(self, name: str, times: int = 1) -> None:
        """Press a key: a name of `KEYS`, or one character."""
        code = {"windowsVirtualKeyCode": KEYS[name]} if name in KEYS else {"text": name}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", key=name, **code)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=name)
        self.settle()

    def media(self, kind: str = "", **features: str) -> None:
        """Pretend a medium and preferences, e.g. ``prefers_color_scheme="dark"``."""
        wanted = [{"name": n.replace("_", "-"), "value": v} for n, v in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=wanted)
        self.settle()
