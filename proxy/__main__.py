"""`python -m proxy` is `llm-proxy`."""

from proxy.cli import main

if __name__ == "__main__":
    main()
