#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is this AAR laid out as prefab wants it? (https://google.github.io/prefab, schema 2.)

    layout.py FILE.aar

prefab reads its JSON strictly: a key that it does not know is an error there. Names and kinds are checked here as it does.
"""
import json
import re
import sys
import xml.etree.ElementTree
import zipfile

ABIS = {"arm64-v8a": (2, 183), "armeabi-v7a": (1, 40), "x86_64": (2, 62)}   # ELF's class and machine
HEADERS = {"tulle.h", "inspect.h", "tulle.hpp"}
MODULES = {"tulle": ("libtulle.so", False), "static": ("libtulle.a", True)}

with zipfile.ZipFile(sys.argv[1]) as file:
    assert file.testzip() is None
    aar = {name: file.read(name) for name in file.namelist()}
assert len(aar) == len(set(aar))


def typed(name, required, optional=None):
    """The JSON of this file: an object of these keys and types."""
    said = json.loads(aar.pop(name))
    known = {**required, **(optional or {})}
    assert set(required) <= set(said) <= set(known), f"{name} has {sorted(said)}"
    for key, value in said.items():
        assert type(value) is known[key], f"{name}: {key} is {value!r}"   # pylint: disable=unidiomatic-typecheck
    return said


manifest = xml.etree.ElementTree.fromstring(aar.pop("AndroidManifest.xml"))
assert manifest.tag == "manifest" and re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)+", manifest.get("package"))
api = int(manifest.find("uses-sdk").get("{http://schemas.android.com/apk/res/android}minSdkVersion"))
assert api == 26, f"built for 26, says {api}"
assert b"MIT" in aar.pop("META-INF/LICENSE")

package = typed("prefab/prefab.json", {"schema_version": int, "name": str, "dependencies": list}, {"version": str})
assert package["schema_version"] == 2 and package["name"] == "tulle" and package["dependencies"] == []
assert re.fullmatch(r"\d+(\.\d+(\.\d+(\.\d+)?)?)?", package["version"]), "CMake's form is wanted"

for module, (library, static) in MODULES.items():
    folder = f"prefab/modules/{module}"
    says = typed(f"{folder}/module.json", {}, {"export_libraries": list, "library_name": str, "android": dict})
    assert f"lib{module}" == "libtulle" or says["library_name"] == "libtulle"
    assert all(re.fullmatch(r"-l(m|dl|c|log)|:\w+|//\w+:\w+", word) for word in says.get("export_libraries", []))
    for header in HEADERS:
        with open(f"{sys.path[0]}/../../../include/tulle/{header}", "rb") as source:
            assert aar.pop(f"{folder}/include/tulle/{header}") == source.read()
    for abi, (wide, machine) in ABIS.items():
        libs = f"{folder}/libs/android.{abi}"
        about = typed(f"{libs}/abi.json", {"abi": str, "api": int, "ndk": int, "stl": str}, {"static": bool})
        assert about == {"abi": abi, "api": api, "ndk": 1, "stl": "none", "static": static}, about
        data = aar.pop(f"{libs}/{library}")
        if static:
            assert data.startswith(b"!<arch>\n") and b"tulle_plan_create" in data
        else:
            assert data[:4] == b"\x7fELF" and data[4] == wide and int.from_bytes(data[18:20], "little") == machine
            assert b"tulle_context_create_0_1" in data
assert not aar, f"and what is {sorted(aar)}?"
