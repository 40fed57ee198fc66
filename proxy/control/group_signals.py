"""Signals that a terminal or a script sends to a whole group, and that only a supervisor heeds."""

import signal

GROUP_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""A worker begins with them blocked, ignores them in its first lines, and then unblocks them."""
