"""MicroPython runs this file at every start."""

import stage

if __name__ == "__main__":
    stage.main()
