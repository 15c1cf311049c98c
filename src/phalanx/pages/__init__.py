"""What every report of phalanx shares: one page template, charts, numbers, words, the console.

A product part (the comparison, the profiler) adds its own template, charts and catalogue.
"""
