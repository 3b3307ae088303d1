"""``python -m novate``: the command ``novate``, for a Python whose scripts are not on the path."""

from novate.cli.main import main

if __name__ == "__main__":
    main()
