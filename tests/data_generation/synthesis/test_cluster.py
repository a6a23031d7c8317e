"""A real Ray cluster on this machine makes what one process makes."""

import os
import signal

import pytest

from data_generation import GenerationError
from data_generation.record import read_prompts
from data_generation.store import read_folder
from data_generation.synthesis import Settings
from data_generation.synthesis.generate import Cluster, Local, Run, Shard, tasks
from data_generation.synthesis.pipelines import Pipeline

pytestmark = pytest.mark.usefixtures("lenient")


def hashes(folder):
    return {(row.id, row.sha256) for row in read_folder(folder)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, from its threads
def test_two_workers_give_the_ids_and_hashes_of_one_process(two_nodes, stable_diffusion, prompts, tmp_path):
    settings = Settings(str(stable_diffusion), steps=3)
    pipeline = Pipeline(settings)
    wanted = list(tasks(pipeline, read_prompts(prompts), [], 2))
    Run(tmp_path / "one", pipeline, Shard()).make(wanted, Local(pipeline), group=4)
    with Cluster(two_nodes.address, settings) as cluster:
        assert len(cluster.workers) == 2
        (_, first), (_, second) = cluster.ray.get([worker.place.remote() for worker in cluster.workers])
        assert first != second
        os.kill(first, signal.SIGKILL)
        made = Run(tmp_path / "two", pipeline, Shard()).make(wanted, cluster, group=2)
    assert made.new == 12
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_a_missing_cluster_is_said_in_one_line():
    with (
        pytest.raises(GenerationError, match="cannot reach a Ray cluster") as error,
        Cluster("127.0.0.1:1", Settings()),
    ):
        pass
    assert "\n" not in str(error.value)
