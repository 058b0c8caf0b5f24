# SPDX-License-Identifier: Apache-2.0
"""The live page: frames over time, and a box to type into; voxels answer with heat."""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import rich
import viser
from jaxtyping import UInt8

from langocc.errors import ConfigError, LangOccError
from langocc.predictor import predict_classes
from langocc.queries import word_notes
from langocc.scenes.frame import Frame
from langocc.view.colours import class_colours
from langocc.view.depth import front_camera
from langocc.view.difference import SAME_FREE, difference, difference_colours
from langocc.view.live_cameras import Seen, seen
from langocc.view.live_colours import Painted, paint
from langocc.view.live_controls import Controls
from langocc.view.live_frame import (
    Cubes,
    Prediction,
    classes_of,
    label_of,
    lidar_in,
    prepare,
    visible_cubes,
)
from langocc.view.live_legend import (
    class_legend_html,
    difference_legend_html,
    facts_html,
    notes_html,
    query_legend_html,
)
from langocc.view.live_scene import DIFFERENT, PREDICTED, TRUE, LiveScene
from langocc.view.live_text import read_queries
from langocc.view.source import Source

KEPT = 8
"""Prepared frames kept, so that going back and forth is quick."""

_PAUSE_S = 0.25
"""A text is read when nobody has typed for so long."""


@dataclass(frozen=True)
class Answer:
    """What the page said to a text.

    Attributes:
        texts: Queries that were read off it.
        notes: Hints.
        painted: Colours; None for no query.
        encode_s: Time to encode the queries; next to nothing for ones asked before.
        answer_s: Time from their vectors to coloured cubes.
    """

    texts: tuple[str, ...]
    notes: tuple[str, ...]
    painted: Painted | None = None
    encode_s: float = 0.0
    answer_s: float = 0.0


@dataclass(frozen=True)
class _Ready:
    """A frame ready to be shown.

    Attributes:
        prediction: Its visible voxels.
        seen: Its photographs and the voxels before them.
        truth: The label's visible voxels; None: there is no label.
        kinds: Prediction against truth where a camera sees, as `view.difference` numbers it.
    """

    prediction: Prediction
    seen: Seen
    truth: Cubes | None
    kinds: UInt8[np.ndarray, "x y z"] | None


class LiveView:
    """A server and what it shows. All who open the page see and steer the same."""

    def __init__(self, source: Source, threshold: float, host: str, port: int) -> None:
        """Loads the first frame and starts serving.

        Args:
            source: What to show.
            threshold: Density from which a voxel is occupied at first, 1/m.
            host: Address to listen at.
            port: Port to listen at; 0: any free one.

        Raises:
            ConfigError: the address is not this machine's, or the port is in use.
            DataError: a file of the first frame is missing or damaged.
        """
        self.source = source
        self._prepared: OrderedDict[tuple[str, float], _Ready] = OrderedDict()
        self._shown: tuple[str, float] | None = None
        self._truth: Cubes | None = None
        self._kinds: list[int] = []
        self._lock = threading.RLock()
        first = self._predict(source.frames[0], threshold)
        check_address(host, port)
        with _quiet():
            self._server = viser.ViserServer(host, port, label="langocc", verbose=False)
        self._server.gui.configure_theme(
            control_width="large", show_logo=False, show_share_button=False
        )
        self._scene = LiveScene(self._server)
        top = source.predictor.config.model.head.density_scale
        cameras = list(source.frames[0].cameras)
        self.controls = Controls(self._server.gui, len(source.frames), cameras, threshold, top)
        self.controls.camera = front_camera(source.frames[0])
        self._draw(source.frames[0], threshold, first)
        self.refresh()
        self.controls.on_typing(self._after_a_pause)
        self.controls.on_change(self.refresh)

    @property
    def port(self) -> int:
        """Port it listens at."""
        return self._server.get_port()

    @property
    def colours(self) -> UInt8[np.ndarray, "voxel 3"]:
        """Present colours of the predicted cubes."""
        return self._scene.colours(PREDICTED)

    def ask(self, text: str) -> Answer:
        """Types a text into the box and returns what the page says."""
        with self._lock:
            self.controls.text = text
            return self.refresh()

    def stop(self) -> None:
        """Ends serving."""
        with _quiet():
            self._server.stop()

    def refresh(self) -> Answer:
        """Brings the page up to date with its controls; damaged files are told on the page."""
        with self._lock:
            frame = self.source.frames[self.controls.frame]
            threshold = self.controls.density
            try:
                if self._shown != (frame.token, threshold):
                    self.controls.say(notes_html(("The model looks at the frame …",)))
                    self._draw(frame, threshold, self._predict(frame, threshold))
            except (LangOccError, OSError) as error:
                self.controls.say(notes_html((str(error),)))
                return Answer((), (str(error),))
            has_truth = self._truth is not None
            self._scene.show(self.controls.visible(has_truth))
            return self._answer()

    def _answer(self) -> Answer:
        """Colours the cubes by what is typed, or by class."""
        assert self._shown is not None
        ready = self._prepared[self._shown]
        prediction = ready.prediction
        queries = read_queries(self.controls.text)
        notes = list(queries.notes)
        if self._truth is None:
            notes.append("No Occ3D label for this frame: no truth to show.")
        if prediction.hidden:
            notes.append(f"{prediction.hidden:,} voxels of the lowest density are not drawn.")
        if not queries.texts or not len(prediction.cubes.centres_m):
            self._scene.colour(PREDICTED, class_colours(prediction.cubes.class_ids))
            self._photographs(ready.seen.photographs)
            if self.controls.voxels == "difference" and self._truth is not None:
                legend = difference_legend_html(self._kinds)
            else:
                legend = class_legend_html(classes_of([prediction.cubes, self._truth]))
            self.controls.say(notes_html(notes), legend)
            return Answer((), tuple(notes))
        notes += word_notes(self.source.speaker.teacher, queries.texts)
        start = time.perf_counter()
        vectors = self.source.speaker.vectors(queries.texts)
        encoded = time.perf_counter()
        painted = paint(prediction.scores(vectors), self.controls.heat)
        self._scene.colour(PREDICTED, painted.colours)
        self._photographs(ready.seen.heated(painted))
        end = time.perf_counter()
        said = f"text {1e3 * (encoded - start):.0f} ms, answer {1e3 * (end - encoded):.0f} ms"
        legend = query_legend_html(queries.texts, painted) + facts_html((said,))
        self.controls.say(notes_html(notes), legend)
        return Answer(queries.texts, tuple(notes), painted, encoded - start, end - encoded)

    def _photographs(self, pictures: Mapping[str, UInt8[np.ndarray, "height width 3"]]) -> None:
        """Shows pictures in the frusta and the chosen one in the panel."""
        with self._server.atomic():
            self._scene.photographs(pictures)
            chosen = self.controls.camera
            self.controls.picture(pictures[chosen if chosen in pictures else next(iter(pictures))])

    def _predict(self, frame: Frame, threshold: float) -> "_Ready":
        key = frame.token, threshold
        if key not in self._prepared:
            source = self.source
            field = source.predictor.field(source.dataset, frame.token)
            prediction = prepare(field, source.classes, threshold)
            label = label_of(source.dataset, frame)
            kinds = None
            if label is not None:
                ids = predict_classes(field, source.classes, threshold).semantics
                kinds = difference(ids, label.semantics, label.mask_camera)
            cameras = seen(frame, prediction.index, field.grid)
            truth = None if label is None else visible_cubes(label.semantics)
            self._prepared[key] = _Ready(prediction, cameras, truth, kinds)
            if len(self._prepared) > KEPT:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return self._prepared[key]

    def _draw(self, frame: Frame, threshold: float, ready: "_Ready") -> None:
        is_new = self._shown is None or self._shown[0] != frame.token
        prediction = ready.prediction
        with self._server.atomic():
            self._scene.cubes(PREDICTED, prediction.cubes)
            different = None if ready.kinds is None else visible_cubes(ready.kinds, SAME_FREE)
            paint = None if different is None else difference_colours(different.class_ids)
            self._scene.cubes(DIFFERENT, different, paint)
            if ready.kinds is not None:
                self._kinds = np.bincount(ready.kinds.ravel(), minlength=4)[:4].tolist()
            if is_new:
                self._truth = ready.truth
                self._scene.cubes(TRUE, self._truth)
                self._scene.frusta(frame, ready.seen.photographs)
                self._scene.points(lidar_in(frame, self.source.predictor.config.model.grid))
        self._shown = frame.token, threshold
        number = self.source.frames.index(frame) + 1
        self.controls.tell(
            facts_html(
                (
                    f"{frame.scene}, frame {number} of {len(self.source.frames)}",
                    f"token {frame.token}",
                    f"{len(prediction.cubes.centres_m):,} visible voxels",
                )
            )
        )

    def _after_a_pause(self) -> None:
        typed = self.controls.text
        time.sleep(_PAUSE_S)
        if self.controls.text == typed:
            self.refresh()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the banners that the server prints to the shared console of `rich`."""
    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def check_address(host: str, port: int) -> None:
    """Makes sure that a server can listen there.

    Raises:
        ConfigError: the address is not this machine's, or the port is in use or not allowed.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"port: expected 0 (any free one) to 65535, got {port}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise ConfigError(f"host: {host!r} is no address of this machine: {error}") from None
    except OSError as error:
        raise ConfigError(
            f"port: cannot listen at {host} port {port}: {error.strerror}; name another with --port"
        ) from None
