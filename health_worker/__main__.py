"""
`python -m health_worker FD`: the supervisor starts it so, with a connection to itself as FD.

Anything else is the command `llm-health-worker`.
"""

import sys


def main() -> None:
    """Be the supervisor's child if there is a descriptor, and else a command."""
    if len(sys.argv) == 2 and sys.argv[1].isdecimal():
        # structlog loads it where it is there, for tracebacks in colour that nobody sees here.
        sys.modules["rich"] = None  # type: ignore[assignment]
        from health_worker.supervised import run_supervised

        run_supervised(int(sys.argv[1]))
        return
    from health_worker.command import main as run_command

    run_command()


if __name__ == "__main__":
    main()
