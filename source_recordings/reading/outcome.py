"""What a job gave."""

from dataclasses import dataclass, field

from source_recordings.delivery import Delivery


@dataclass
class Outcome:
    """The records of a job, whether nothing new is to be had for it, and what went wrong."""

    deliveries: list[Delivery] = field(default_factory=list)
    settled: bool = False
    delivered: list[str] = field(default_factory=list)
    """What to remember of single files, so that they are not delivered again with the others of their job."""
    error: Exception | None = None
    size: int = 0
    """Bytes, about."""
