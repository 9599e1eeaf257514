#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the unittest files beside it and prints TAP: tap.py [NAME ...]"""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.ok = True

    def _line(self, test, state, directive=""):
        name = test.shortDescription() or str(test)
        print(f"{state} {self.testsRun} - {name}{directive}", flush=True)

    def _failed(self, test, error):
        self.ok = False
        print("\n".join("# " + line for line in self._exc_info_to_string(error, test).splitlines()))
        self._line(test, "not ok")

    def addSuccess(self, test):
        self._line(test, "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(test, "ok", f" # SKIP {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._failed(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self._failed(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.ok = False
            print(f"# {subtest.params}\n" + "\n".join("# " + line for line in self._exc_info_to_string(error, subtest).splitlines()))
            print(f"not ok - {test.shortDescription()} {dict(subtest.params)}", flush=True)


def main():
    sys.path.insert(0, str(HERE))
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("test_*.py"))
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    print(f"1..{suite.countTestCases()}")
    result = Tap()
    suite.run(result)
    sys.exit(not result.ok)


main()
