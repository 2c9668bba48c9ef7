"""`python -m repgeo`: the command line."""

from repgeo.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
