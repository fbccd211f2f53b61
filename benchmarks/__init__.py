"""How fast localbox is beside its peers, measured in one run: `python -m benchmarks`.

Reports ratios and asserts nothing: times belong to the machine and to what else it does.
"""
