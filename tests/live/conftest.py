"""Which of the live tests there are here.

CI skips nothing, and the Agents Playground may not be required: its licence is for evaluating it. So its test exists only where
`.ci/stand_ins` has fetched the Playground; `.ci/run` says in its log when it has not. local-slack's test always exists, and
without local-slack it is skipped, which CI takes for a failure.
"""

from __future__ import annotations

from tests.live import playground

collect_ignore = [] if playground.CLI.is_file() else ["test_playground.py"]
