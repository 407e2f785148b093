"""A browser for tests, driven over a pipe by Chromium's own protocol: no driver, no port, nothing to install beside it.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have; the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""), "Tab": (9, "")}


READY = "document.body && document.body.dataset.ready === 'yes'"
"""Of the page of `tacos view`."""


class PageLeftError(RuntimeError):
    """A page went away while it was asked."""


class Tab:
    """One page. `said` is what the console reported as an error."""

    def __init__(self, write: BinaryIO, read: BinaryIO):
        self._write, self._read, self._number = write, read, 0
        self.said: list[str] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        attached = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Raises: RuntimeError with the browser's words."""
        return self._ask(method, params, self._session)

    def _ask(self, method: str, params: dict[str, Any], session: str | None) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        self._write.write(json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0")
        self._write.flush()
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    left = "navigated" in message["error"]["message"]
                    raise (PageLeftError if left else RuntimeError)(f"{method}: {message['error']}")
                found: dict[str, Any] = message["result"]
                return found
            self._event(message)

    def _message(self) -> dict[str, Any]:
        text = b""
        while not text.endswith(b"\0"):
            byte = self._read.read(1)
            if not byte:
                raise RuntimeError("the browser has ended")
            text += byte
        found: dict[str, Any] = json.loads(text[:-1])
        return found

    def _event(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:500])
        elif message["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(params["entry"]["text"])
        elif message["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.said.append(json.dumps(params["args"])[:500])

    def open(
        self, url: str, width: int = 1280, height: int = 900, scheme: str = "light", ready: str = READY
    ) -> None:
        """ready: an expression that becomes true once the page is there."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url="about:blank")  # a change of the hash alone loads nothing
        self.ask("Page.navigate", url=url)
        self.wait(ready)

    def value(self, code: str) -> Any:
        """Of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=code, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def wait(self, code: str, seconds: float = 10.0) -> None:
        """Raises: AssertionError where the expression does not become true, also not on a page that follows."""
        end = time.monotonic() + seconds
        while not self.is_true(code):
            assert time.monotonic() < end, f"never: {code}\n{self.value('document.body.innerText')[:2000]}"
            time.sleep(0.02)

    def is_true(self, code: str) -> bool:
        """Whether an expression is true in the page that is there now; false while one goes and the next comes."""
        with suppress(PageLeftError):
            return bool(self.value(f"Boolean({code})"))
        return False

    def press(self, key: str) -> None:
        code, text = KEYS.get(key, (0, key))
        told = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **told)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **{**told, "text": ""})

    def type(self, text: str) -> None:
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    """A tab of a browser that ends with the block. profile: an empty folder."""
    assert PROGRAM is not None
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    high = [
        fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)
    ]  # the browser reads 3 and writes 4
    program = ["bash", "-c", f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}']
    process = subprocess.Popen(
        [*program, PROGRAM, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (commands, answers, *high):
        os.close(end)
    with os.fdopen(to_browser, "wb") as write, os.fdopen(from_browser, "rb") as read:
        try:
            yield Tab(write, read)
        finally:
            process.terminate()
            process.wait(timeout=20)
