"""Histories of tasks as data, with the answers that they must give for ever.

The files beside this one are never made anew by a test. ``python -m tests.golden`` says how they are made on purpose.
"""
