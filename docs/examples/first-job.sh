#!/bin/bash
#SBATCH --job-name=first-job
#SBATCH --amlfs-import=/genomics/run7/
#SBATCH --amlfs-export=/jobs/run7/
# When this starts, every blob under genomics/run7/ is a file in $AMLFS_IMPORT_DIR, with its contents. What is in
# $AMLFS_EXPORT_DIR when it has ended becomes blobs under jobs/run7/.
set -euo pipefail

mkdir -p "$AMLFS_EXPORT_DIR"
cd "$AMLFS_IMPORT_DIR"
echo "job $SLURM_JOB_ID: $(find . -type f | wc -l) files, $(find . -type f -print0 | xargs -0 cat | wc -c) bytes imported"

find . -type f -print0 | sort -z | xargs -0 sha256sum >"$AMLFS_EXPORT_DIR/sha256sums"

# Reads and GC content of each sample.
for sample in S*/; do
	cat "$sample"*.fastq | awk -v sample="${sample%/}" '
		NR % 4 == 2 { reads++; bases += length($0); gc += gsub(/[GC]/, "") }
		END { printf "%s\t%d reads\t%.2f %% GC\n", sample, reads, 100 * gc / bases }
	' >"$AMLFS_EXPORT_DIR/${sample%/}.tsv"
done

cd "$AMLFS_EXPORT_DIR"
cat ./*.tsv
echo "outputs:"
sha256sum -- *
