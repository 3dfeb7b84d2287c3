# SPDX-License-Identifier: Apache-2.0
"""predictor_rules.py - is every rule of a predictor's signature held

    predictor_rules.py FOLDER    (that holds the package cortex_runner)
"""
import functools
import json
import sys
import unittest

FOLDER = sys.argv.pop(1)
sys.path.insert(0, FOLDER)
from cortex_runner import predictor  # noqa: E402


def make(methods):
    """A class with these methods, each given as its argument list."""
    body = "class PythonPredictor:\n    x = 1\n"
    for name, arguments in methods.items():
        body += "    def %s(%s): pass\n" % (name, arguments)
    space = {}
    exec(body, space)
    return space["PythonPredictor"]


GOOD = {"__init__": "self, config", "predict": "self, payload"}

# What is changed in GOOD (None: left out), and what the message must say ("": accepted).
CASES = [
    ({}, ""),
    ({"__init__": "self, config, job_spec"}, ""),
    ({"__init__": "self, job_spec, config"}, ""),
    ({"__init__": "self, config, python_client"}, ""),
    ({"__init__": "self, config, *args, key=1, **kwargs"}, ""),
    ({"__init__": "self"}, '__init__(self): the required argument "config" is missing'),
    ({"__init__": None}, 'the required argument "config" is missing'),
    ({"__init__": "config"}, '__init__(config): the first argument must be "self"'),
    ({"__init__": "this, config"}, 'the first argument must be "self"'),
    ({"__init__": ""}, 'the first argument must be "self"'),
    ({"__init__": "self, config, extra"}, 'unknown argument "extra"'),
    ({"__init__": "self, config, extra=None"}, 'unknown argument "extra"'),
    ({"__init__": "self, config, onnx_client"}, 'unknown argument "onnx_client"'),
    ({"predict": None}, "required method predict is not defined"),
    ({"predict": "self"}, ""),
    ({"predict": "self, batch_id"}, ""),
    ({"predict": "self, batch_id, payload, query_params, headers"}, ""),
    ({"predict": "payload, self"}, 'the first argument must be "self"'),
    ({"predict": "self, data"}, 'unknown argument "data", expected only "self"'),
    ({"predict": "self, payload, response"}, 'unknown argument "response"'),
    ({"on_job_complete": "self"}, ""),
    ({"on_job_complete": "self, config"}, 'on_job_complete(self, config): unknown'),
    ({"on_job_complete": ""}, 'the first argument must be "self"'),
    ({"post_predict": "self, response, payload, query_params, headers"}, ""),
    ({"post_predict": "self, batch_id"}, 'post_predict(self, batch_id): unknown'),
    ({"load_model": "self, model_path"}, ""),
    ({"load_model": "self"}, 'the required argument "model_path" is missing'),
    ({"load_model": "self, model_path, name"}, 'unknown argument "name"'),
]


class Rules(unittest.TestCase):
    def refused(self, cls):
        try:
            predictor.check_class("predictor.py", cls)
        except predictor.Refused as e:
            return str(e)
        return ""

    def test_every_rule_of_the_table(self):
        for change, expected in CASES:
            methods = {**GOOD, **change}
            methods = {k: v for k, v in methods.items() if v is not None}
            found = self.refused(make(methods))
            with self.subTest(methods=methods):
                if expected:
                    self.assertIn(expected, found)
                    self.assertIn("predictor.py: class PythonPredictor: ", found)
                else:
                    self.assertEqual(found, "")

    def test_a_method_must_be_callable(self):
        cls = make(GOOD)
        cls.predict = 5
        self.assertIn("predict: expected a method", self.refused(cls))

    def test_static_and_class_methods_have_no_self(self):
        cls = make(GOOD)
        cls.predict = staticmethod(lambda payload: None)
        self.assertIn('must be "self"', self.refused(cls))
        cls.predict = classmethod(lambda cls, payload: None)
        self.assertIn('must be "self"', self.refused(cls))

    def test_a_decorated_method_is_looked_through(self):
        def decorate(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                return function(*args, **kwargs)

            return inner

        cls = make(GOOD)
        cls.predict = decorate(cls.predict)
        self.assertEqual(self.refused(cls), "")
        self.assertEqual(
            predictor.check_class("p.py", cls)["predict"], ["self", "payload"]
        )

    def test_inherited_methods_count(self):
        class Child(make(GOOD)):
            pass

        self.assertEqual(self.refused(Child), "")

    def test_config_is_merged_deeply_and_the_submission_wins(self):
        merged = predictor.merged_config(
            '{"a": {"x": 1, "y": {"z": 1}}, "b": [1], "c": {"d": 1}}',
            '{"a": {"y": {"w": 2}, "x": 3}, "b": [2], "c": 4}',
        )
        self.assertEqual(
            merged, {"a": {"x": 3, "y": {"z": 1, "w": 2}}, "b": [2], "c": 4}
        )
        self.assertEqual(predictor.merged_config("", ""), {})

    def test_config_that_is_no_object_is_refused(self):
        with self.assertRaises(predictor.Refused):
            predictor.merged_config("[]", "{}")

    def test_results_become_json_or_raise(self):
        class Array:
            def tolist(self):
                return [1, [2]]

        class Endless:
            def tolist(self):
                return self

        self.assertEqual(json.loads(predictor.to_json({"a": Array()})), {"a": [1, [2]]})
        cycle = []
        cycle.append(cycle)
        for value in (float("nan"), float("-inf"), b"x", {1, 2}, cycle, Endless()):
            with self.assertRaises((TypeError, ValueError)):
                predictor.to_json(value)


if __name__ == "__main__":
    unittest.main()
