"""What a sequencer leaves behind: a sample sheet and, for each sample, FASTQ files of each lane and read."""

from __future__ import annotations

import random
from collections.abc import Iterator

PREFIX = "genomics/run7/"
SAMPLES = 12
LANES = 4
READ_FILES = 6
READS_IN_A_FILE = 120
BASES_IN_A_READ = 100
SEED = 7


def blobs() -> Iterator[tuple[str, bytes]]:
    """Yield blob names and contents, the same ones every time: 289 blobs, 8 MB."""
    dice = random.Random(SEED)  # noqa: S311 - example data
    samples = [f"S{number:02}" for number in range(1, SAMPLES + 1)]
    sheet = "".join(f"{sample},tumour {number % 3},library {number}\n" for number, sample in enumerate(samples))
    yield f"{PREFIX}SampleSheet.csv", f"sample,tissue,library\n{sheet}".encode()
    for sample in samples:
        for lane in range(1, LANES + 1):
            for part in range(1, READ_FILES + 1):
                yield f"{PREFIX}{sample}/{sample}_L{lane:03}_R1_{part:03}.fastq", _fastq(dice, sample, lane, part)


def _fastq(dice: random.Random, sample: str, lane: int, part: int) -> bytes:
    reads = []
    for number in range(READS_IN_A_FILE):
        bases = "".join(dice.choices("ACGT", k=BASES_IN_A_READ))
        qualities = "".join(dice.choices("FFFF:,#", k=BASES_IN_A_READ))
        reads.append(f"@{sample}:{lane}:{part}:{number}\n{bases}\n+\n{qualities}\n")
    return "".join(reads).encode()
