"""Systems under test: everything that turns a latent (or a prompt) into pixels.

Importing a module here needs torch, numpy, safetensors and pillow alone; diffusers, transformers
and the like are imported by the constructor that needs them.
"""
