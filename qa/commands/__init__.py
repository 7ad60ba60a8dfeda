"""The commands of `qa`: each module adds its parsers (`arguments`) and carries them out.

Importing them is cheap; what a command needs is imported when it is given.
"""
