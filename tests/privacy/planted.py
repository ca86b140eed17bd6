"""Faults planted into a real service: what goes wrong in it is told to it by words in a household, and by a file.

The text below is written into a folder as `sitecustomize.py`, which Python runs at the start of every process that has
the folder on its path. It waits for modules of the service to be loaded and spoils them.
"""

from __future__ import annotations

from pathlib import Path

FAULT, SLOW, BOOM = "FAULT", "SLOW", "BOOM"
SLOW_S = 4.5

_TEXT = '''
import importlib.abc, importlib.util, os, sys, time

DOWN = os.environ.get("PLANTED_STORE", "")


def in_models_assessment(module):
    sound = module.assess

    def assess(bundle, history, as_of, **more):
        said = repr((history.household_ids, more.get("handling")))
        if "FAULT" in said:
            raise ValueError(said)
        if "SLOW" in said:
            time.sleep({slow})
        return sound(bundle, history, as_of, **more)

    module.assess = assess


def in_serving_store_engine(module):
    for name in ("reading", "writing"):
        sound = getattr(module.Store, name)

        def away(self, *more, _sound=sound, **named):
            if DOWN and os.path.exists(DOWN):
                raise module.StoreDown("INSERT INTO assessments VALUES ('KANARIE-household')")
            return _sound(self, *more, **named)

        setattr(module.Store, name, away)


def in_serving_desk(module):
    sound = module.Desk.queue

    def queue(self, **asked):
        if "BOOM" in (asked.get("township") or ""):
            explode(asked["township"])
        return sound(self, **asked)

    module.Desk.queue = queue


def explode(word):
    """Everything at once that writes by itself somewhere."""
    import logging, threading, warnings

    def in_thread():
        warnings.warn("heard in a thread: " + word)
        logging.getLogger("somebody.else").error("heard in a thread: %s", word)
        raise KeyError(word)

    class Falling:
        def __del__(self):
            raise ValueError(word)

        def __repr__(self):
            return word

    thread = threading.Thread(target=in_thread, name=word)
    thread.start()
    thread.join()
    Falling()
    warnings.warn(word)
    logging.getLogger("somebody.else").error("%s", word, exc_info=ValueError(word))
    logging.getLogger("povrisk.serving").error("%d of them", word)
    raise RuntimeError(word)


class Planter(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        spoil = globals().get("in_" + name.replace(".", "_"))
        if spoil is None or name in busy:
            return None
        busy.add(name)
        spec = importlib.util.find_spec(name)
        sound = spec.loader.exec_module

        def exec_module(module):
            sound(module)
            spoil(module)

        spec.loader.exec_module = exec_module
        return spec


busy = set()
sys.meta_path.insert(0, Planter())
'''


def planted_in(folder: Path) -> Path:
    """The folder to put first on the path of the processes that are to fail."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_TEXT.replace("{slow}", str(SLOW_S)))
    return folder
