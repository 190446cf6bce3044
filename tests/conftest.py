"""What every test runs under; the variables have to be set before torch is imported."""

import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on a busy machine
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores have workers of their own
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from hypothesis import settings

settings.register_profile("glre_pyg", deadline=None, max_examples=50)
settings.load_profile("glre_pyg")

_CACHE = tempfile.TemporaryDirectory(prefix="glre_pyg-")  # in place of the user's; removed with this process
os.environ["GLRE_CACHE"] = _CACHE.name
os.environ["XDG_STATE_HOME"] = f"{_CACHE.name}/state"

_LONG = ("test_notebooks", "test_docs", "test_encoder", "test_commands")


def pytest_collection_modifyitems(items):
    """Files that take minutes come first: as the last ones, they would run while the other processes wait."""
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))
