"""DPG-Bench: do pictures show all that long prompts ask for? (docs/dpg.md)"""
