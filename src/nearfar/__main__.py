"""``python -m nearfar`` is the command ``nearfar``."""

from nearfar.cli.main import main

if __name__ == "__main__":
    main()
