"""``python -m market.commands`` is ``pumasi``."""

import sys

from market.commands.main import main

sys.exit(main())
