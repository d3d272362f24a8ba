"""What somebody pasted, or a file, explained in a notebook: the words of `hvlab open`, and its pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape

from hvlab.capture.buslog import BusLog
from hvlab.capture.describe import tell
from hvlab.capture.devices import DeviceList
from hvlab.capture.kinds import recognise
from hvlab.capture.load import Capture, load
from hvlab.capture.source import Source, is_text
from hvlab.errors import BadRequest, plain
from hvlab.language import _
from hvlab.story.storyboard import Storyboard
from hvlab.view.bus import draw_channels, draw_handshake
from hvlab.view.drawing import RULES, Drawing
from hvlab.view.recorded import recorded_story
from hvlab.view.still import style_for


class Explained:
    """A capture with its words and its pictures; what a cell shows that ends with `explain(…)`.

    Attributes
    ----------
    capture
        What was read: `DeviceList`, `BusLog`, `GuestLog` or one of the others that `load` gives.
    text : str
        The words.
    """

    def __init__(self, capture: Capture, text: str, drawings: Sequence[Drawing]) -> None:
        self.capture, self.text, self.drawings = capture, text, tuple(drawings)

    @property
    def story(self) -> Storyboard:
        """The handshake of a recording, step by step: what `show(explain(…))` shows."""
        if not isinstance(self.capture, BusLog):
            raise BadRequest("a story of it", self.text.split("\n", 1)[0], "a recording of VMBus by ftrace or QEMU")
        return recorded_story(self.capture)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Pictures as images, so that they are seen in a notebook that is not trusted, and the words below."""
        images = "".join(
            f'<figure><img alt="{escape(plain(one.title))}. {escape(plain(one.words, 2000))}" '
            f'src="data:image/svg+xml;base64,{base64.b64encode(standalone(one).encode()).decode()}">'
            f"<figcaption>{escape(plain(one.title))}</figcaption></figure>"
            for one in self.drawings
        )
        return f"{images}<pre>{escape(self.text)}</pre>"


def explain(source: Source) -> Explained:
    """Explain a text that somebody pasted, or a file.

    Parameters
    ----------
    source
        Output of `lsvmbus`, `dmesg`, a listing of /sys/bus/vmbus/devices, a recording of VMBus by ftrace or QEMU, a
        trace of KVM; or the name of any file that `hvlab open` knows.

    Raises
    ------
    BadFile
        For what is none of these, or not sound.
    """
    kind = recognise(source)
    if not kind.ready:
        raise BadRequest(f"an explanation of {plain(source, 60)}", kind.says())
    name = _("The pasted text") if is_text(source) else plain(source)
    capture = load(source)
    return Explained(capture, tell(capture, kind.sentence(name)), _drawings(capture))


def _drawings(capture: Capture) -> list[Drawing]:
    if isinstance(capture, DeviceList):
        return [draw_channels(capture)] if capture.load() else []
    return [draw_handshake(capture)] if isinstance(capture, BusLog) else []


def standalone(drawing: Drawing) -> str:
    """A drawing as an SVG file of its own, on a light ground."""
    text = drawing.svg()
    used = {name for names in re.findall(r' class="([^"]*)"', text) for name in names.split()}
    ground = '<rect width="100%" height="100%" style="fill:#fff;stroke:none"/>'
    return text.replace("</desc>", f"</desc><style>{style_for(used, more=RULES)}</style>{ground}", 1)
