"""The first child of a start: migrations, keys, admin. It has Django in memory and ends.

Its result goes to the supervisor over a pipe (DMS_RESULT_FD), one JSON object a line: progress, then done (with the
unlocked keys) or fault.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from capabilities.refusal import Refusal


def main() -> int:
    """Prepare the site and report."""
    with os.fdopen(int(os.environ["DMS_RESULT_FD"]), "w", buffering=1) as report:

        def say(**document: Any) -> None:
            report.write(json.dumps(document) + "\n")

        try:
            say(done=_prepare(lambda text: say(progress=text)))
        except (Refusal, OSError, ValueError) as error:
            say(fault=str(error), hint=getattr(error, "hint", ""))
            return 1
    return 0


def _prepare(progress: Any) -> dict[str, Any]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
    import django

    progress("loading")
    django.setup()
    from dmsweb.prepare import prepare

    prepared = prepare(progress)
    from node.models import Node

    node = Node.objects.only("id").get(peer_id=prepared.peer_id)
    return {
        "keys": prepared.keys,
        "admin_password": prepared.admin_password,
        "did": prepared.did,
        "peer_id": prepared.peer_id,
        "node_id": str(node.pk),
        "first_start": prepared.first_start,
    }


if __name__ == "__main__":
    sys.exit(main())
