# A stand-in for the ESP32's `machine` module, as far as the button needs it: the file `button` presses it.
import os


class Pin:
    IN, PULL_UP = 0, 1

    def __init__(self, number, *how):
        self.number = number

    def value(self):
        return 0 if "button" in os.listdir(".") else 1
