"""What tests of all folders share: `tier` can be imported from everywhere."""

from __future__ import annotations
