"""Metrics, one file per family. A class is found through `conf/metric/<name>.yaml`, nothing else.

No module here imports torch or a metric library when it is imported; constructors do.
"""
