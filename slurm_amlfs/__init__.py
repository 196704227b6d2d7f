"""Stage data between Azure Blob Storage and Azure Managed Lustre as part of a Slurm job."""
