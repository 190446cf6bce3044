"""The official files of the corpora: what they are, and where to find them.

A file is looked for in the folder that the user names. If none is named, it is looked for in
``$GLRE_DATA/<folder>``, then in the cache, and is downloaded into the cache at last::

    path = find(DOCRED["dev"])

Files of the user's own are used as they are, with a warning if they are not the official ones; what is in the
cache is always verified. Nothing but the official name counts: samples and other versions have to be named.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glre_pyg.utils.download import (
    DownloadError,
    Member,
    RemoteFile,
    cache_folder,
    extract,
    fetch,
    gunzip,
)
from glre_pyg.utils.files import sha256_of


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """An official file of a corpus.

    Args:
        folder: The corpus's folder, below ``$GLRE_DATA`` and below the cache.
        path: Where the file is in that folder, with ``/``.
        sha256: Checksum in hexadecimal, or None where nobody published one.
        bytes: Its size, or None if unknown; known if it comes out of an archive.
        page: Where a person would get it.
        source: What is downloaded: the file, the file gzipped, or a zip with it; None if there is nothing.
        inside: Its path in the zip.
    """

    folder: str
    path: str
    sha256: str | None
    bytes: int | None
    page: str
    source: RemoteFile | None
    inside: str | None = None

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.rsplit("/", 1)[-1]

    def below(self, folder: Path) -> Path | None:
        """The file in a folder of the corpus, by itself or as the zip has it; None if it is not there."""
        paths = (folder / self.path, *((folder / self.inside,) if self.inside else ()))
        return next((path for path in paths if path.is_file()), None)


def find(file: OfficialFile, root: Path | None = None) -> Path:
    """Where an official file is; it is downloaded and verified if need be.

    Args:
        file: The file.
        root: The folder of the corpus, where the file has to be; None looks into ``$GLRE_DATA``, then into
            the cache, then downloads.

    Raises:
        DownloadError: If it is not in `root`, or neither found nor downloaded; the one line says where to get
            the file and where to put it.
    """
    places = [root] if root is not None else _shared(file.folder)
    own = _first(file, places)
    if own is None and root is not None:
        raise DownloadError(f"{root / file.path}: there is no such file; {_get(file)} and put it there")
    return own or _cached(file)


def mesh_tree(root: Path | None = None) -> Path:
    """The MeSH tree: in CDR's folder `root`, in ``MeSH`` beside it, in ``$GLRE_DATA/MeSH``, else downloaded.

    Raises:
        DownloadError: As :func:`find`.
    """
    beside = [root, root.parent / MESH_TREE.folder] if root is not None else _shared("CDR")
    return _first(MESH_TREE, [*beside, *_shared(MESH_TREE.folder)]) or _cached(MESH_TREE)


def _shared(folder: str) -> list[Path]:
    return [Path(os.environ["GLRE_DATA"]) / folder] if os.environ.get("GLRE_DATA") else []


def _first(file: OfficialFile, folders: list[Path]) -> Path | None:
    """A file of the user's own, in the first folder that has it, with a warning if it is another one."""
    path = next((path for folder in folders if (path := file.below(folder)) is not None), None)
    if path is not None and file.sha256 is not None and (found := sha256_of(path)) != file.sha256:
        # From one line always, so that Python's filter shows it once.
        warnings.warn(f"{path}: sha256 {found}, the official file's is {file.sha256}", stacklevel=1)
    return path


def _cached(file: OfficialFile) -> Path:
    target = cache_folder() / file.folder / file.path
    if target.is_file() and (file.sha256 is None or sha256_of(target) == file.sha256):
        return target
    try:
        if file.source is None:
            raise DownloadError("nobody publishes it")
        _download(file, file.source, target)
    except DownloadError as error:
        other = f", and {target} is another file" if target.is_file() else ""
        line = f"{file.folder}/{file.path}: not found ({error}{other}); {_get(file)} and put it at {target}"
        raise DownloadError(re.sub(r"\s+", " ", line)) from None
    if file.sha256 is None:
        warnings.warn(f"{target}: sha256 {sha256_of(target)}, not verified: none is published", stacklevel=1)
    return target


def _download(file: OfficialFile, source: RemoteFile, target: Path) -> None:
    archive = fetch(source, target.parent)
    if archive == target:
        return
    if file.sha256 is None or file.bytes is None:
        raise DownloadError(f"{file.name}: its checksum or size is not known, so it is not unpacked")
    member = Member(file.inside or file.path, file.sha256, file.bytes)
    try:  # the archive stays: a zip has the other splits, and another process may be reading it
        if file.inside is None:
            gunzip(archive, member, target.parent)
        else:
            extract(archive, [member], target.parent)
    except DownloadError:
        archive.unlink(missing_ok=True)
        raise


def _get(file: OfficialFile) -> str:
    zipped = f" in {file.source.name}" if file.source is not None and file.inside is not None else ""
    checksum = f" (sha256 {file.sha256})" if file.sha256 else ""
    return f"get it{zipped} from {file.page}{checksum}"


# CDR -------------------------------------------------------------------------------------------------------

# The organisers published no checksum of the zip: the files inside are verified instead.
_CDR_ZIP = RemoteFile(
    "https://biocreative.bioinformatics.udel.edu/media/store/files/2016/CDR_Data.zip",
    sha256=None,
    mirrors=(
        "https://huggingface.co/datasets/bigbio/bc5cdr/resolve/main/CDR_Data.zip",
        "https://github.com/JHnlp/BioCreative-V-CDR-Corpus/raw/master/CDR_Data.zip",
    ),
)


def _cdr(name: str, sha256: str, size: int) -> OfficialFile:
    page = "https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/"
    return OfficialFile("CDR", name, sha256, size, page, _CDR_ZIP, f"CDR_Data/CDR.Corpus.v010516/{name}")


CDR: Mapping[str, OfficialFile] = {
    "train": _cdr(
        "CDR_TrainingSet.PubTator.txt",
        "7afcec134e3d4871e74b0398d92850d3c9ac94c0bdc780003f2d60184c012bd8",
        1_129_998,
    ),
    "dev": _cdr(
        "CDR_DevelopmentSet.PubTator.txt",
        "9e18d8e700168887a7919e62f67ac2ce2357e3f409a48ee992906abdd80fe3e5",
        1_127_990,
    ),
    "test": _cdr(
        "CDR_TestSet.PubTator.txt",
        "a3c48d5f35bdfce20c2371778abedc9fd24d1da092207072e5181ad53c8d0e2f",
        1_168_687,
    ),
}

# The tree of 2017 as the field's scripts have it, a table made from NLM's files.
_TREE_SHA256, _TREE_BYTES = "bf46f806a27e2c0b14fd014fb5e5b9d173fc1bbf8dfec7acdd692a9a58e81ab6", 2_814_066
MESH_TREE = OfficialFile(
    "MeSH",
    "2017MeshTree.txt",
    _TREE_SHA256,
    _TREE_BYTES,
    "https://github.com/nju-websoft/GLRE/tree/master/data_processing",
    RemoteFile(
        "https://raw.githubusercontent.com/nju-websoft/GLRE/"
        "4b9ca0d41f9fe15118114dff4f231eb3521bd485/data_processing/2017MeshTree.txt",
        _TREE_SHA256,
        _TREE_BYTES,
        mirrors=(
            "https://raw.githubusercontent.com/fenchri/edge-oriented-graph/"
            "bfd917cb6c16d46ca29947c24afb7054d1502132/data_processing/2017MeshTree.txt",
        ),
    ),
)

# DocRED and its like ---------------------------------------------------------------------------------------


def _docred(name: str, sha256: str, size: int, gz_sha256: str | None, gz_size: int | None) -> OfficialFile:
    page = "https://drive.google.com/drive/folders/1c5-0YwnoJx8NS6CV2f-NoTHR__BdkNqw"
    revision = "7985b4e0371e6c61a756feb41b7b27becf71c666"
    url = f"https://huggingface.co/datasets/thunlp/docred/resolve/{revision}/data/{name}.gz"
    return OfficialFile("DocRED", name, sha256, size, page, RemoteFile(url, gz_sha256, gz_size))


# The official place is a folder of Google Drive; Hugging Face has the same files gzipped.
DOCRED: Mapping[str, OfficialFile] = {
    "train": _docred(
        "train_annotated.json",
        "7e706348a02cf91f38bd8c379f934ab61aedadc901fca10d962c1d82ab78e95b",
        13_029_595,
        "0d01cd07cabd7f9077db6ea8628832cf60281b4228ec1ba54647f836a3b17d02",
        2_810_860,
    ),
    "dev": _docred(
        "dev.json",
        "4554f7487a6fda3bab4d4e59432e065b7485dfb885bd7f05fd60fc7e93ee7e3e",
        4_287_303,
        "6ae4d7f5b0b9d2cbe74b9634ed43b35b7cb5b7c0dc3a16226dbe343139a4ae05",
        928_690,
    ),
    # Of the gzipped test file no checksum is known: the content is verified.
    "test": _docred(
        "test.json",
        "09386b5cb58249d8e087863c379ebd64557169c52ee502193d2f4f215e704ae8",
        3_674_242,
        None,
        None,
    ),
}


def _redocred(name: str, sha256: str, size: int) -> OfficialFile:
    commit = "ccfb54f5ddf5836027c87badda10f6dfc56efaac"
    source = RemoteFile(
        f"https://raw.githubusercontent.com/tonytan48/Re-DocRED/{commit}/data/{name}",
        sha256,
        size,
        mirrors=(f"https://huggingface.co/datasets/tonytan48/Re-DocRED/resolve/main/{name}",),
    )
    return OfficialFile(
        "Re-DocRED", name, sha256, size, "https://github.com/tonytan48/Re-DocRED/tree/main/data", source
    )


REDOCRED: Mapping[str, OfficialFile] = {
    "train": _redocred(
        "train_revised.json", "c40a137a1c57f3e2daaf5ebf511eaa1518f9305ffaa3052d46271921a91826f2", 18_602_933
    ),
    "dev": _redocred(
        "dev_revised.json", "051ee1d057204a5d08ef5502beacdadf191245b5eaf0e29ec2c607cf002c016f", 3_245_588
    ),
    "test": _redocred(
        "test_revised.json", "ea673b7ef91e16510d7eb88863d3903e47318dc5653ef361266f27ae3b84723c", 3_207_228
    ),
}


def _dwie(name: str) -> OfficialFile:
    page = (
        "https://github.com/klimzaporojets/DWIE (its script fetches the texts), brought into DocRED's format "
        "as https://github.com/rudongyu/LogiRE says,"
    )
    return OfficialFile("DWIE", name, None, None, page, source=None)


# Nobody publishes DWIE in DocRED's format: everyone makes these files, under DocRED's names.
DWIE: Mapping[str, OfficialFile] = {
    "train": _dwie("train_annotated.json"),
    "dev": _dwie("dev.json"),
    "test": _dwie("test.json"),
}

# BioRED ----------------------------------------------------------------------------------------------------

# No checksum of the zip is published either.
_BIORED_ZIP = RemoteFile("https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/BIORED.zip", sha256=None)


def _biored(name: str, sha256: str, size: int) -> OfficialFile:
    page = "https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/"
    return OfficialFile("BioRED", name, sha256, size, page, _BIORED_ZIP, f"BioRED/{name}")


BIORED: Mapping[str, OfficialFile] = {
    "train": _biored(
        "Train.PubTator", "57f96059c1dc5b8a738ee0b7ec5254cf38a1cbb50cd12682809cad627f8c6b36", 1_587_588
    ),
    "dev": _biored(
        "Dev.PubTator", "b648faefe4d8b76029746afbec437f31398ce35d2e691eb734aaac5db5dc5736", 423_179
    ),
    "test": _biored(
        "Test.PubTator", "eee53e2da22cd49a92f300d8d76df610cc04b22bf9f8b09e874bfb8b280ab240", 415_438
    ),
}

# GDA -------------------------------------------------------------------------------------------------------


def _gda(path: str) -> OfficialFile:
    home = "https://bitbucket.org/alexwuhkucs/gda-extraction"
    commit = "fd4a7409365e5ff35f9ac9a9fee6755bd34465cd"
    return OfficialFile(
        "GDA", path, None, None, f"{home}/src/{commit}/", RemoteFile(f"{home}/raw/{commit}/{path}", None)
    )


# Three files a split; dev is a part of the training documents. Nobody published checksums.
GDA: Mapping[str, Mapping[str, OfficialFile]] = {
    split: {name: _gda(f"{folder}/{name}") for name in ("abstracts.txt", "anns.txt", "labels.csv")}
    for split, folder in (("train", "training_data"), ("test", "testing_data"))
}
