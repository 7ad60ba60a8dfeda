"""`qa repro`: how far the same inputs give the same pictures (docs/reproducibility.md).

options      the configuration; what is asked for       bench      the job, decoded again
trace        digests of every stage                     child      the same in a fresh process
compare      how far apart, and how far is near enough  divergence where two decodes part
exact        R0 R1 R2 R4   resumed  R3                  varied R5  across R6 R7
rows         verdicts, and repro.json                   check      all of it, top to bottom
"""
