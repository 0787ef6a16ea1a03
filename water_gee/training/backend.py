"""Keras on TensorFlow, loaded without its start-up noise and made repeatable.

TensorFlow writes lines about GPUs and oneDNN straight to file descriptor 2 while it loads, before
any of its log settings are read; they say nothing a user of this package can act on. Modules that
need Keras import it from here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["keras", "make_repeatable", "tf"]


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 nowhere; Python exceptions still come through."""
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, as under some services
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _silent_stderr():
    import keras
    import tensorflow as tf


def make_repeatable(seed: int) -> None:
    """Seed every generator and ask TensorFlow for kernels that repeat bit for bit.

    Both settings are the process's, as TensorFlow has them; call this before the first network of a
    run is made.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
