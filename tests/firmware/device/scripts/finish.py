# Puts in place what is staged. Argument: the flash's folder.
import os
import sys

import staged

os.chdir(sys.argv[1])
staged.finish()
print("{}")
