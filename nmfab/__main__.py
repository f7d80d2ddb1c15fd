"""``python -m nmfab``: the tool ``nmfab``."""

from nmfab.cli.tool import main

raise SystemExit(main())
