"""`python -m venvery` is the command `venvery`."""

from venvery.cli.main import main

raise SystemExit(main())
