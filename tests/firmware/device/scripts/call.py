# Calls a function. Argument: a file with its name, "module.function", and a list of argument lists.
import json
import sys

with open(sys.argv[1]) as file:
    name, calls = json.load(file)
module, _, function = name.rpartition(".")
called = getattr(__import__(module, None, None, (function,)), function)


def result(arguments):
    try:
        return called(*arguments)
    except ValueError as error:
        return "ValueError: " + str(error)


print(json.dumps([result(arguments) for arguments in calls]))
