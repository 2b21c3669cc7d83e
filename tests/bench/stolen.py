# SPDX-License-Identifier: MIT
"""How much of the processors' busy time the host of a virtual machine kept.

On a shared host a round can be slow for no reason of the server's: a processor
that the host gives to somebody else stands still, with whatever waits for it.
"""

# Fields of the line "cpu" (proc(5), /proc/stat), in ticks since the start.
USER, NICE, SYSTEM, _IDLE, _IOWAIT, IRQ, SOFTIRQ, STEAL = range(1, 9)
BUSY = (USER, NICE, SYSTEM, IRQ, SOFTIRQ, STEAL)


def stolen_percent(before, after):
    """Between two first lines of /proc/stat; 0 where nothing was busy."""
    first, last = ([int(word) for word in line.split()[1:]]
                   for line in (before, after))
    grown = [0] + [b - a for a, b in zip(first, last)]
    busy = sum(grown[field] for field in BUSY)
    return 100 * grown[STEAL] / busy if busy else 0.0


def now():
    with open("/proc/stat", encoding="ascii") as file:
        return file.readline()


def with_stolen(measure):
    """The figures of measure(), and how much was stolen meanwhile."""
    before = now()
    figures = measure()
    return {**figures, "stolen_percent": stolen_percent(before, now())}
