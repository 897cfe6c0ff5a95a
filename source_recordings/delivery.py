"""What goes out: a record, and the file that comes with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airbyte_cdk.models import AirbyteRecordMessageFileReference

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """A record, and the file that comes with it."""

    data: Row
    reference: AirbyteRecordMessageFileReference | None = None
