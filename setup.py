"""Packaging, all of it. The version stands here and nowhere else in Python."""

from pathlib import Path

from setuptools import find_packages, setup

TESTS = [
    "aiohttp>=3.10",  # the sandbox
    "hypothesis>=6.100",
    "jsonschema>=4.18",
    "pytest>=8.2",
    "pytest-cov>=6",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "requests-mock>=1.12",
]
DEV = [
    "mypy>=1.15",
    "pre-commit>=4",
    "ruff>=0.12",
    "types-jsonschema",
    "types-PyYAML",
    "types-requests",
    "types-setuptools",
    "uv",  # makes the environments fast
]
DEMO = [
    "aiohttp>=3.10",  # the sandbox
    "airbyte>=0.71,<1; python_version < '3.13'",  # PyAirbyte does not support 3.13
]

setup(
    name="source-recordings",
    version="0.1.0",
    description="Airbyte source connector for call recordings of Bird, Amigo, Quo, Bota and Tether",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="source-recordings contributors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["airbyte", "connector", "call recordings", "transcripts", "elt"],
    classifiers=[
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["source_recordings", "source_recordings.*"]),
    package_data={"source_recordings": ["py.typed", "**/*.yaml", "**/*.json", "providers/*/*.py"]},
    exclude_package_data={"source_recordings": ["providers/*/example.yaml"]},  # the tests read them
    include_package_data=False,
    python_requires=">=3.10,<3.14",
    install_requires=["airbyte-cdk>=7.39,<8", "requests", "webvtt-py>=0.6,<0.7"],
    extras_require={"tests": TESTS, "dev": TESTS + DEV, "demo": DEMO},
    entry_points={"console_scripts": ["source-recordings=source_recordings.__main__:main"]},
)
