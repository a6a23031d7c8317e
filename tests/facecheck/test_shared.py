import threading

import facecheck
from facecheck import shared


def test_predict_loads_the_default_model_once_for_all_threads(monkeypatch, checker, grace):
    made = []
    monkeypatch.setattr(shared, "FaceChecker", lambda: made.append(1) or checker)
    shared._made_once.cache_clear()
    threads = [threading.Thread(target=facecheck.predict, args=(grace,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared._made_once.cache_clear()
    assert made == [1]
