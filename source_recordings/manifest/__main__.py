"""`python -m source_recordings.manifest`."""

from source_recordings.manifest import main

main()
