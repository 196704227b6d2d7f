from __future__ import annotations

import pytest

from tests.contract.blobs_contract import BlobsContract, Upload
from tests.fakes.blobs import FakeBlobs


class TestFakeBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self) -> FakeBlobs:
        """Make an empty container."""
        return FakeBlobs()

    @pytest.fixture
    def upload(self, blobs: FakeBlobs) -> Upload:
        """Put blobs into it."""
        return lambda name, size_bytes: (blobs.put(name, size_bytes), None)[1]
