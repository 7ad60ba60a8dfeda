"""The dial: which setting of a decoder suits a use case. `qa.dial.find` reads top to bottom.

find      from a configuration to dial.json and the written setting
options   what may be asked for             settings  what is tried
bench     one decoder at many settings      judged    what a setting costs and gives
choice    front, pick, confirmation         told      dial.json        written   the file
"""
