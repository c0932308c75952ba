"""The loggers that nnsight has."""

import logging

__all__ = ["logger", "remote_logger"]

logger = logging.getLogger("pellucid")
remote_logger = logging.getLogger("pellucid_remote")
