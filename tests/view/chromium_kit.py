"""Chromium without a window, steered through its own debugging protocol."""

import base64
import io
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image

PATIENCE_S = 240.0
"""A page is drawn without a GPU, perhaps on a core that other tests use, too."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Tab:
    """One page."""

    def __init__(self, socket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def send(self, method: str, **parameters) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                return message.get("result", {})  # none while the page is loading

    def run(self, script: str):
        """Value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        return answer.get("result", {}).get("value")

    def wait_for(self, script: str, seconds: float = PATIENCE_S):
        """Value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"{script} is {value!r} after {seconds} s"
            time.sleep(0.3)
        return value

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def picture(self) -> Image.Image:
        data = self.send("Page.captureScreenshot")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


@contextmanager
def open_tab(chromium: str, url: str, profile: Path, size=(1500, 900)) -> Iterator[Tab]:
    place = [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", url]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([chromium, *FLAGS, *place], **quiet) as browser:
        try:
            file = profile / "DevToolsActivePort"
            end = time.monotonic() + PATIENCE_S
            while not (file.is_file() and "\n" in file.read_text()):
                assert time.monotonic() < end, "Chromium did not start"
                time.sleep(0.1)
            port = file.read_text().split()[0]
            while True:
                pages = json.load(urlopen(f"http://127.0.0.1:{port}/json"))
                if pages := [p for p in pages if p["type"] == "page"]:
                    break
                time.sleep(0.1)
            client = pytest.importorskip("websockets.sync.client", reason="websockets is missing")
            with client.connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Tab(socket)
        finally:
            browser.terminate()
