"""L2P: text straight to pixels, the Z-Image trunk with a convolutional head.

    config.py       sizes as data, the four released variants
    trunk.py        the Z-Image transformer             head.py         the local decoder, a U-Net
    network.py      both together: the velocity         sampler.py      schedule and Euler steps
    sizes.py        which picture sizes are possible    registry.py     the released files, loading
    decoder.py      the Decoder of a run                check.py        python -m decoders.l2p.check

Paper: L2P, arXiv 2605.12013.
"""
