"""Rows by `ray.data`: for pictures in object storage, or as one step of a longer pipeline; docs/scale.md says when.

Actors hold the model, batches of files stream through them, and rows come out with the columns of `facecheck scan`.
Nothing remembers what is finished: for that, and for videos in object storage, there is `facecheck scan --ray`.
"""

import functools
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from facecheck.batching import BATCH_PICTURES
from facecheck.errors import ImageError
from facecheck.files import sha256_of
from facecheck.image import MAX_BYTES
from facecheck.scan.rows import Candidate, Judge, Read, Row, Settings, batches
from facecheck.scan.tables import table
from facecheck.settings import CheckerSettings

if TYPE_CHECKING:
    from facecheck.batching import Decoded

BLOCK_FILES = 64
"""Files that an actor is asked for at once: few are done again if it dies, and their bytes fit into memory."""
FETCHES, FETCH_CPUS = 16, 0.25
"""Files that a task fetches at the same time, for object stores answer late, but many at once; its share of a CPU."""


class JudgeBatch:
    """Files -> rows, for `Dataset.map_batches`; `judged` calls it with what it needs.

    Args:
        settings: as of a scan; made by whoever starts the work, so that an actor with another model refuses.
        chosen: what each actor loads, with its first batch.
    """

    def __init__(self, settings: Settings, chosen: CheckerSettings) -> None:
        self.judge = Judge(settings, lambda: chosen.checker(max_fpr=settings.max_fpr))

    def __call__(self, files: Any) -> Any:
        """One row for each file, in order.

        Args:
            files: a `pyarrow.Table` with the column `path`, and, where the workers cannot open that themselves, `bytes`
                of the whole file and `error`, if it has none. Other columns are left out.

        Returns:
            A `pyarrow.Table`, see `facecheck.scan.tables.schema`. A file that cannot be read is a row with its error.

        Raises:
            ModelError: there is another model here.
        """
        reads = (self._read(file) for file in files.to_pylist())
        return table(row for batch in batches(reads) for row in self.judge.rows(batch))

    def _read(self, file: Row) -> Read:
        path, data, error = file["path"], file.get("bytes"), file.get("error")
        if data is None and error is None:
            return self.judge.read(Candidate.at(path))
        sha256 = sha256_of(data or b"") if self.judge.settings.sha256 and error is None else None
        return Read(Candidate(path, None if data is None else len(data), None), _decoded(path, data, error), sha256)


def judged(
    files: Any,
    settings: Settings,
    chosen: CheckerSettings | None = None,
    *,
    actors: int = 1,
    gpus: float = 0,
    fetch: Callable[[Any], Any] | None = None,
) -> Any:
    """Rows of the files of a `ray.data.Dataset`, as another; both lazy.

    An actor that dies is started anew, and the files of its block are judged again: so Ray does by default, and without
    end, if one of them kills it each time. `facecheck scan --ray` finds that file and makes it a row.

    Args:
        files: with the columns that `JudgeBatch` reads.
        chosen: None: the default model on what there is.
        actors: how many, each with one processor; with all of them a warning, for what reads and writes would wait
            for one forever. gpus: for each actor; a fraction lets several share one.
        fetch: gets the bytes of files that the workers cannot open: `fetched`, or something like it.
    """
    import ray
    from ray.data import ActorPoolStrategy

    if ray.is_initialized() and actors >= (processors := int(ray.cluster_resources().get("CPU", 0))):
        message = (
            f"{actors} actors take all {processors} processors that the cluster has now; leave some to read and write"
        )
        warnings.warn(message, stacklevel=2)
    files = files.repartition(target_num_rows_per_block=BLOCK_FILES)
    if fetch is not None:
        files = files.map_batches(fetch, batch_size=BLOCK_FILES, batch_format="pyarrow", num_cpus=FETCH_CPUS)
    return files.map_batches(
        JudgeBatch,
        fn_constructor_args=(settings, chosen or CheckerSettings()),
        compute=ActorPoolStrategy(size=actors),
        batch_size=BATCH_PICTURES,
        batch_format="pyarrow",
        num_cpus=1,
        num_gpus=gpus or None,
    )


def fetched(files: Any, filesystem: Any = None) -> Any:
    """Read files from object storage; give it to `judged` as `fetch`.

    `ray.data.read_binary_files` ends the run at the first file that is missing, and lists all names before it begins.

    Args:
        files: a `pyarrow.Table` with the column `path`: s3://, gs://, abfs:// or hdfs:// addresses, or local paths.
        filesystem: a `pyarrow.fs.FileSystem` for all of them (other endpoints, credentials), whose paths they are then.

    Returns:
        A `pyarrow.Table` with `path`, `bytes` and `error`, one of which is null.
    """
    import pyarrow as pa

    paths = files["path"].to_pylist()
    with ThreadPoolExecutor(FETCHES) as pool:
        found = list(pool.map(functools.partial(_fetch, filesystem=filesystem), paths))
    columns = [pa.array(paths, pa.string()), pa.array([data for data, _ in found], pa.large_binary())]
    return pa.table([*columns, pa.array([error for _, error in found], pa.string())], ["path", "bytes", "error"])


def _fetch(path: str, filesystem: Any) -> tuple[bytes | None, str | None]:
    try:
        opener, inside = (filesystem, path) if filesystem is not None else _located(path)
        with opener.open_input_stream(inside, compression=None) as stream:
            return stream.read(MAX_BYTES + 1), None
    except (OSError, ValueError) as error:
        return None, f"{path}: cannot be fetched ({error})"


def _located(path: str) -> tuple[Any, str]:
    kind, mark, rest = path.partition("://")
    if not mark:
        return _root("file:///")[0], path
    place, _, inside = rest.partition("/")
    filesystem, root = _root(f"{kind}://{place}/")
    return filesystem, f"{root.rstrip('/')}/{inside}"


@functools.cache
def _root(address: str) -> tuple[Any, str]:
    """Made once for a bucket: it looks up where the bucket is, and keeps connections open."""
    from pyarrow.fs import FileSystem

    filesystem, root = FileSystem.from_uri(address)
    return filesystem, root


def _decoded(path: str, data: bytes | None, error: str | None) -> "Decoded":
    from facecheck.batching import Decoded, decode
    from facecheck.video import is_clip

    started = time.perf_counter()
    if data is not None and is_clip(data):
        error = f"{path}: a video; videos are only judged from paths that the workers can open"
    if data is None or error is not None:
        return Decoded(path, None, (time.perf_counter() - started) * 1000, ImageError(error))
    return decode(data, name=path)
