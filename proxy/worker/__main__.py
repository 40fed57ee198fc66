"""`python -m proxy.worker FD`: the supervisor starts it so, with a connection to itself as FD."""

from proxy.worker.main import main

if __name__ == "__main__":
    main()
