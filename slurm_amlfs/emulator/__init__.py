"""An Azure Managed Lustre that fits on one machine: ARM over HTTP, HSM semantics on FUSE, blobs in Azurite.

A real program for demos, tests and a site's dry run. Nothing in the product imports it.
"""
