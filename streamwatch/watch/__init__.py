"""Windows over scored posts, surges in them, and the alerts that come of it."""

from streamwatch.watch.monitors import Monitor, Monitors, load_monitors
from streamwatch.watch.watch import Closed, Watch

__all__ = ["Closed", "Monitor", "Monitors", "Watch", "load_monitors"]
