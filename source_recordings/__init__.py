"""Airbyte source connector for call and voice recordings from Bird, Amigo, Quo, Bota and Tether."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("source-recordings")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.0.0"
