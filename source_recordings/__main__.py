"""`python -m source_recordings` does what the console script `source-recordings` does."""

from source_recordings.run import run

if __name__ == "__main__":
    run()
