"""What the package uses of the CDK beyond its public names (`airbyte_cdk.__all__`, `airbyte_cdk.models`).

Each name has a test in unit_tests/test_cdk.py that says what it is used for and breaks when the CDK changes it.
"""

from airbyte_cdk.logger import PRINT_BUFFER
from airbyte_cdk.sources import Source as BaseSource
from airbyte_cdk.sources.message.concurrent_repository import ConcurrentMessageRepository
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.utils.files_directory import get_files_directory
from airbyte_cdk.sources.utils.slice_logger import DebugSliceLogger
from airbyte_cdk.utils import PrintBuffer
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets, filter_secrets, get_secrets, update_secrets
from airbyte_cdk.utils.datetime_helpers import ab_datetime_parse

__all__ = [
    "PRINT_BUFFER",
    "BaseSource",
    "ConcurrentMessageRepository",
    "DebugSliceLogger",
    "DefaultStream",
    "Partition",
    "PartitionGenerator",
    "PrintBuffer",
    "ab_datetime_parse",
    "add_to_secrets",
    "filter_secrets",
    "get_files_directory",
    "get_secrets",
    "update_secrets",
]
