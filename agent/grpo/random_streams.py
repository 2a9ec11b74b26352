"""Random streams as JSON, so that a resumed run draws what the uninterrupted one would have drawn.

Knows nothing of what the streams are for.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

RandomStream = random.Random | np.random.Generator | torch.Generator


def dump_stream(stream: RandomStream) -> Any:
    """Return the stream's state as JSON; the inverse of `restore_stream`."""
    if isinstance(stream, random.Random):
        version, internal, gauss = stream.getstate()
        return [version, list(internal), gauss]
    if isinstance(stream, np.random.Generator):
        return dict(stream.bit_generator.state)
    return stream.get_state().numpy().tobytes().hex()


def restore_stream(stream: RandomStream, content: Any) -> None:
    """Set `stream` to a state dumped from one of its kind."""
    if isinstance(stream, random.Random):
        version, internal, gauss = content
        stream.setstate((version, tuple(internal), gauss))
    elif isinstance(stream, np.random.Generator):
        stream.bit_generator.state = content
    else:
        stream.set_state(torch.frombuffer(bytearray.fromhex(content), dtype=torch.uint8))
