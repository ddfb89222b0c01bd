"""What tests of all rooms stand on.

cases       `case(**parts)`: one whole case as a document
service     `Service(answer, faults=…)`: one HTTP service
caches      `cache()`: an empty Valkey on a free port
paged_service, sick   services with one known fault each; by hand: `python -m tests.world.sick`
"""

from .cases import case
from .service import Reply, Request, Service

__all__ = ["Reply", "Request", "Service", "case"]
