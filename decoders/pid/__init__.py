"""PiD, NVIDIA's pixel-diffusion decoder (arXiv 2605.23902), and the PixelDiT that it stands on.

network.py    the network: latent, text and time in, flow velocity out
adapter.py    how a latent enters it
layers.py     norms, rotary positions, attention
samplers.py   student (4 steps, re-noised) and teacher (DPM-Solver++ 2M)
registry.py   the released checkpoints, as data (checkpoints.toml), and loading them
decoder.py    the Decoder of the harness
check.py      `python -m decoders.pid.check`: this installation against golden files
"""
