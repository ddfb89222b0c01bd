"""Case files: the model, the strict loader, the generated schema and reference, and the commented template."""

from luckyhit.case.load import load_case
from luckyhit.case.model import Case

__all__ = ["Case", "load_case"]
