# SPDX-License-Identifier: Apache-2.0
"""predictor.py - how the user's predictor is found, checked and constructed

A Refused exception is a rule that was broken: its text is the whole message, without a
traceback. Anything else that is raised comes from the user's code.
"""
import copy
import importlib.util
import json
import os
import sys

MODULE_NAME = "cortex_predictor"
CLASS_NAME = "PythonPredictor"
WRAPPERS_MAX = 16  # decorators around a method that are looked through

# method: (is required, required arguments, optional arguments). Positional arguments
# only, which are passed by name; keyword-only ones, *args and **kwargs are ignored.
METHODS = {
    "__init__": (True, ("self", "config"), ("job_spec", "python_client")),
    "predict": (
        True,
        ("self",),
        ("payload", "batch_id", "headers", "query_params"),
    ),
    "on_job_complete": (False, ("self",), ()),
    "post_predict": (False, ("self",), ("response", "payload", "query_params", "headers")),
    "load_model": (False, ("self", "model_path"), ()),
}


class Refused(Exception):
    pass


def merge(base, over):
    """A deep copy of base with over's values put in; objects merge key by key."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def merged_config(api_text, job_text):
    """The config a predictor sees: always a dict, the submission's values winning."""
    api = json.loads(api_text) if api_text else {}
    job = json.loads(job_text) if job_text else {}
    if not isinstance(api, dict) or not isinstance(job, dict):
        raise Refused("config: expected a JSON object")
    return merge(api, job)


def load_class(path, python_path):
    """The predictor class of the file `path`, relative to the current folder."""
    root = os.getcwd()
    sys.path.insert(0, os.path.join(root, python_path) if python_path else root)
    if path.endswith(".pickle"):
        return _load_pickle(path)
    if not os.path.isfile(path):
        raise Refused("%s: no such file in the project" % path)
    spec = importlib.util.spec_from_file_location(MODULE_NAME, os.path.join(root, path))
    if spec is None:
        raise Refused("%s: expected a Python file, such as predictor.py" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    spec.loader.exec_module(module)
    found = getattr(module, CLASS_NAME, None)
    if not isinstance(found, type):
        raise Refused("%s: class %s is not defined" % (path, CLASS_NAME))
    return found


def _load_pickle(path):
    try:
        import dill
    except ImportError:
        raise Refused(
            "%s: a pickled predictor needs the package dill: name it in requirements.txt"
            % path
        ) from None
    with open(path, "rb") as file:
        found = dill.load(file)
    if not isinstance(found, type):
        raise Refused("%s: expected a pickled class" % path)
    return found


def positional_names(function):
    """Names of the positional arguments, or None if it is no function."""
    if not callable(function):
        return None
    for _ in range(WRAPPERS_MAX):
        function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        import inspect

        try:
            return inspect.getfullargspec(function).args
        except TypeError:
            return None
    return list(code.co_varnames[: code.co_argcount])


def check_class(path, cls):
    """Holds every method against METHODS; returns the names each one takes."""
    taken = {}
    for name, rule in METHODS.items():
        function = getattr(cls, name, None)
        if name == "__init__" and function is object.__init__:
            names = ["self"]  # not defined: refused below for want of config
        elif function is None and not (rule[0] or hasattr(cls, name)):
            continue
        elif function is None:
            raise Refused(
                "%s: class %s: required method %s is not defined"
                % (path, cls.__name__, name)
            )
        else:
            names = positional_names(function)
        _check_method(path, cls, name, names, rule)
        taken[name] = names
    return taken


def _check_method(path, cls, name, names, rule):
    where = "%s: class %s: %s" % (path, cls.__name__, name)
    if names is None:
        raise Refused("%s: expected a method" % where)
    where += "(%s)" % ", ".join(names)
    required, optional = rule[1], rule[2]
    if not names or names[0] != "self":
        raise Refused('%s: the first argument must be "self"' % where)
    for argument in required:
        if argument not in names:
            raise Refused('%s: the required argument "%s" is missing' % (where, argument))
    for argument in names:
        if argument not in required and argument not in optional:
            allowed = ", ".join('"%s"' % a for a in required + optional)
            raise Refused(
                '%s: unknown argument "%s", expected only %s' % (where, argument, allowed)
            )


def construct(cls, names, config, job_spec):
    """The predictor; python_client is accepted by name but there is none to give."""
    given = {"config": config}
    if "job_spec" in names:
        given["job_spec"] = job_spec
    return cls(**given)


def predict_arguments(names):
    """Which of payload and batch_id predict takes, and the constant rest."""
    rest = {name: None for name in names if name in ("headers", "query_params")}
    return "payload" in names, "batch_id" in names, rest


def to_json(value):
    """What predict returned, as JSON, in ASCII. Values with a `tolist` method (numpy arrays
    and scalars) are written as the list or number it gives. NaN, infinities, cycles,
    bytes and all else that JSON has no form for raise TypeError or ValueError."""
    return json.dumps(value, allow_nan=False, default=_to_plain)


def _to_plain(value):
    tolist = getattr(value, "tolist", None)
    if not callable(tolist):
        raise TypeError(
            "a value of type %s has no form in JSON" % type(value).__name__
        )
    plain = tolist()
    if type(plain) is type(value):
        raise TypeError(
            "a value of type %s has no form in JSON" % type(value).__name__
        )
    return plain
