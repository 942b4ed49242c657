"""Settings: every one typed and documented once; the example file is generated from them.

`load` gives the frozen `Config`, or raises `ConfigError` with every problem and its place.
"""

from gateway.config.loading import load
from gateway.config.problems import ConfigError, ConfigProblem
from gateway.config.settings import Config

__all__ = ["Config", "ConfigError", "ConfigProblem", "load"]
