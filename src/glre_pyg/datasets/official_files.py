"""The official files of the corpora: their checksums and where to find them.

A file is looked up in the folder that the user names. If none is named, it is looked up in
``$GLRE_DATA/<corpus>``, then in the cache, and finally downloaded into the cache::

    path = find(DOCRED["dev"])

The user's own files are used as they are, with a warning if they are not the official ones; files in the
cache are always verified. Samples and other versions under other names have to be named by the user.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glre_pyg.utils.cache import cache_folder
from glre_pyg.utils.download import DownloadError, RemoteFile, fetch, unpack
from glre_pyg.utils.files import sha256_of


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """An official file of a corpus.

    Args:
        folder: Folder of the corpus, below ``$GLRE_DATA`` and below the cache.
        path: Path of the file in that folder, with ``/``.
        sha256: Checksum in hexadecimal; None if nobody published one.
        bytes: Size; None if unknown. Files in archives have a known size.
        page: Web page where a person gets the file.
        source: The file, the file gzipped, or a zip that contains it; None if it cannot be downloaded.
        inside: Path of the file in the zip.
    """

    folder: str
    path: str
    sha256: str | None
    bytes: int | None
    page: str
    source: RemoteFile | None
    inside: str | None = None


def find(file: OfficialFile, root: Path | None = None) -> Path:
    """Return the path of an official file, which is downloaded and verified if need be.

    Args:
        file: The file.
        root: Folder of the corpus, which must contain the file; None looks into ``$GLRE_DATA``, then into the
            cache, then downloads.

    Raises:
        DownloadError: If the file is not in ``root``, or can neither be found nor downloaded; the message
            says where to get the file and where to put it.
    """
    path = _find_in([root] if root is not None else _shared_folders(file.folder), file)
    if path is None and root is not None:
        raise DownloadError(f"{root / file.path}: there is no such file; {_advice(file)} and put it there")
    return path or _cached(file)


def mesh_tree(root: Path | None = None) -> Path:
    """Return the path of the MeSH tree.

    It is looked up in CDR's folder ``root``, in ``MeSH`` beside it, in ``$GLRE_DATA/MeSH``, then downloaded.

    Raises:
        DownloadError: As :func:`find`.
    """
    folders = [root, root.parent / MESH_TREE.folder] if root is not None else _shared_folders("CDR")
    return _find_in([*folders, *_shared_folders(MESH_TREE.folder)], MESH_TREE) or _cached(MESH_TREE)


def _shared_folders(folder: str) -> list[Path]:
    return [Path(os.environ["GLRE_DATA"]) / folder] if os.environ.get("GLRE_DATA") else []


def _find_in(folders: list[Path], file: OfficialFile) -> Path | None:
    """Find the user's own file, also at its path in the zip; warn if it is not the official one."""
    places = [folder / place for folder in folders for place in (file.path, file.inside) if place]
    path = next(filter(Path.is_file, places), None)
    if path is not None and file.sha256 is not None and (found := sha256_of(path)) != file.sha256:
        # Always from this line, so that Python's filter shows each warning once.
        warnings.warn(f"{path}: sha256 {found}, the official file's is {file.sha256}", stacklevel=1)
    return path


def _cached(file: OfficialFile) -> Path:
    """Return the path of a file in the cache, after downloading it if need be."""
    target = cache_folder() / file.folder / file.path
    if target.is_file() and (file.sha256 is None or sha256_of(target) == file.sha256):
        return target
    try:
        if file.source is None:
            raise DownloadError("nobody publishes it")
        _download(file, file.source, target)
    except DownloadError as error:
        other = f", and {target} is a different file" if target.is_file() else ""
        line = (
            f"{file.folder}/{file.path}: not found ({error}{other}); {_advice(file)} and put it at {target}"
        )
        raise DownloadError(re.sub(r"\s+", " ", line)) from None
    if file.sha256 is None:
        warnings.warn(f"{target}: sha256 {sha256_of(target)}, not verified: none is published", stacklevel=1)
    return target


def _download(file: OfficialFile, source: RemoteFile, target: Path) -> None:
    archive = fetch(source, target.parent)
    if archive == target:
        return
    if file.sha256 is None or file.bytes is None:
        raise DownloadError(f"{target.name}: its checksum or size is not known, so it is not unpacked")
    try:  # the archive is kept: a zip has the other splits, and another process may be reading it
        unpack(archive, file.inside or file.path, target, sha256=file.sha256, bytes=file.bytes)
    except DownloadError:
        archive.unlink(missing_ok=True)
        raise


def _advice(file: OfficialFile) -> str:
    """Say where to get a file."""
    zipped = f" in {file.source.name}" if file.source is not None and file.inside is not None else ""
    checksum = f" (sha256 {file.sha256})" if file.sha256 else ""
    return f"get it{zipped} from {file.page}{checksum}"


# Tables of the files ----------------------------------------------------------------------------------------

_FILES = """
CDR       train CDR_TrainingSet.PubTator.txt    7afcec134e3d4871e74b0398d92850d3c9ac94c0bdc780003f2d60184c012bd8 1129998
CDR       dev   CDR_DevelopmentSet.PubTator.txt 9e18d8e700168887a7919e62f67ac2ce2357e3f409a48ee992906abdd80fe3e5 1127990
CDR       test  CDR_TestSet.PubTator.txt        a3c48d5f35bdfce20c2371778abedc9fd24d1da092207072e5181ad53c8d0e2f 1168687
MeSH      tree  2017MeshTree.txt                bf46f806a27e2c0b14fd014fb5e5b9d173fc1bbf8dfec7acdd692a9a58e81ab6 2814066
DocRED    train train_annotated.json            7e706348a02cf91f38bd8c379f934ab61aedadc901fca10d962c1d82ab78e95b 13029595
DocRED    dev   dev.json                        4554f7487a6fda3bab4d4e59432e065b7485dfb885bd7f05fd60fc7e93ee7e3e 4287303
DocRED    test  test.json                       09386b5cb58249d8e087863c379ebd64557169c52ee502193d2f4f215e704ae8 3674242
Re-DocRED train train_revised.json              c40a137a1c57f3e2daaf5ebf511eaa1518f9305ffaa3052d46271921a91826f2 18602933
Re-DocRED dev   dev_revised.json                051ee1d057204a5d08ef5502beacdadf191245b5eaf0e29ec2c607cf002c016f 3245588
Re-DocRED test  test_revised.json               ea673b7ef91e16510d7eb88863d3903e47318dc5653ef361266f27ae3b84723c 3207228
DWIE      train train_annotated.json            -                                                                -
DWIE      dev   dev.json                        -                                                                -
DWIE      test  test.json                       -                                                                -
BioRED    train Train.PubTator                  57f96059c1dc5b8a738ee0b7ec5254cf38a1cbb50cd12682809cad627f8c6b36 1587588
BioRED    dev   Dev.PubTator                    b648faefe4d8b76029746afbec437f31398ce35d2e691eb734aaac5db5dc5736 423179
BioRED    test  Test.PubTator                   eee53e2da22cd49a92f300d8d76df610cc04b22bf9f8b09e874bfb8b280ab240 415438
"""  # noqa: E501
_GITHUB = "https://raw.githubusercontent.com"


def _corpus(folder: str, page: str, *urls: str, inside: str = "") -> dict[str, OfficialFile]:
    """Official files of a corpus by split, from the table.

    Args:
        folder: Name of the corpus in the table.
        page: Web page of the files.
        urls: URL and mirrors, with ``{}`` for the name of the file.
        inside: Path of the file in the zip, with ``{}`` for its name.
    """
    files: dict[str, OfficialFile] = {}
    for row in map(str.split, _FILES.strip().splitlines()):
        if row[0] == folder:
            split, name = row[1:3]
            sha256, size = (None, None) if row[3] == "-" else (row[3], int(row[4]))
            source = None
            if urls:
                url, *mirrors = (each.format(name) for each in urls)
                # Nobody published checksums of the archives: the files inside are verified.
                known = (sha256, size) if url.endswith(name) else (None, None)
                source = RemoteFile(url, *known, tuple(mirrors))
            files[split] = OfficialFile(
                folder, name, sha256, size, page, source, inside.format(name) if inside else None
            )
    return files


CDR = _corpus(
    "CDR",
    "https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
    "https://biocreative.bioinformatics.udel.edu/media/store/files/2016/CDR_Data.zip",
    "https://huggingface.co/datasets/bigbio/bc5cdr/resolve/main/CDR_Data.zip",
    "https://github.com/JHnlp/BioCreative-V-CDR-Corpus/raw/master/CDR_Data.zip",
    inside="CDR_Data/CDR.Corpus.v010516/{}",
)

# The tree of 2017 in the format of the field's scripts, a table made from NLM's files.
MESH_TREE = _corpus(
    "MeSH",
    "https://github.com/nju-websoft/GLRE/tree/master/data_processing",
    f"{_GITHUB}/nju-websoft/GLRE/4b9ca0d41f9fe15118114dff4f231eb3521bd485/data_processing/{{}}",
    f"{_GITHUB}/fenchri/edge-oriented-graph/bfd917cb6c16d46ca29947c24afb7054d1502132/data_processing/{{}}",
)["tree"]

# The official place is a folder of Google Drive; Hugging Face has the same files gzipped.
DOCRED = _corpus(
    "DocRED",
    "https://drive.google.com/drive/folders/1c5-0YwnoJx8NS6CV2f-NoTHR__BdkNqw",
    "https://huggingface.co/datasets/thunlp/docred/resolve/7985b4e0371e6c61a756feb41b7b27becf71c666/data/{}.gz",
)

REDOCRED = _corpus(
    "Re-DocRED",
    "https://github.com/tonytan48/Re-DocRED/tree/main/data",
    f"{_GITHUB}/tonytan48/Re-DocRED/ccfb54f5ddf5836027c87badda10f6dfc56efaac/data/{{}}",
    "https://huggingface.co/datasets/tonytan48/Re-DocRED/resolve/main/{}",
)

# Nobody publishes DWIE in DocRED's format: users make these files, under DocRED's names.
DWIE = _corpus(
    "DWIE",
    "https://github.com/klimzaporojets/DWIE (its script fetches the texts), brought into DocRED's format "
    "as https://github.com/rudongyu/LogiRE says,",
)

BIORED = _corpus(
    "BioRED",
    "https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/",
    "https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/BIORED.zip",
    inside="BioRED/{}",
)


def _gda(path: str) -> OfficialFile:
    home = "https://bitbucket.org/alexwuhkucs/gda-extraction"
    commit = "fd4a7409365e5ff35f9ac9a9fee6755bd34465cd"
    source = RemoteFile(f"{home}/raw/{commit}/{path}", None)
    return OfficialFile("GDA", path, None, None, f"{home}/src/{commit}/", source)


# Three files for each split; dev is a part of the training documents. Nobody published checksums.
GDA: Mapping[str, Mapping[str, OfficialFile]] = {
    split: {name: _gda(f"{folder}/{name}") for name in ("abstracts.txt", "anns.txt", "labels.csv")}
    for split, folder in (("train", "training_data"), ("test", "testing_data"))
}
