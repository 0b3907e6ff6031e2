"""Files that people upload: is each really what its name and its sender say? Nothing is published unchecked."""

from __future__ import annotations

from venvery.uploads.checking import Checked, Claims, check_claims, check_upload

__all__ = ["Checked", "Claims", "check_claims", "check_upload"]
