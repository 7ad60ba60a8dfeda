"""GenEval: are the objects that a prompt names in the picture, as many, so coloured, so placed?

Ghosh, Hajishirzi and Schmidt, "GenEval: An Object-Focused Framework for Evaluating Text-to-Image
Alignment", 2023, arXiv 2310.11513; prompts and rules of github.com/djghosh13/geneval at af4902f2.

    prompts.py ─► suite.py ─► pictures ─► panel.py: detector.py ─► rules.py ─► score.py
                             layout.py: the original's folders and files

The same about drawn figures, without networks: figures.py (suite), shapes.py (detector, colours).
"""
