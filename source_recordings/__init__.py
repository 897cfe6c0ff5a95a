"""Airbyte source connector for call and voice recordings from Bird, Amigo, Quo, Bota and Tether."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is wanted: until the program heeds signals, nothing else is to take time."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  see above

    try:
        return version("source-recordings")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0.0.0"
