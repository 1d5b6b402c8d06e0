#!/usr/bin/env python3
"""The recipes of slurm/packaging, without the tools that read them: what they say of the build is so.

usage: packaging_test.py SOURCE

Spack's recipe runs against a stand-in for Spack that notes what it declares; CMake options named in
a recipe must be options of the build; what recipes and the image copy or check must be there.
"""
import glob
import os
import re
import sys
import types


class Spec:
    """A choice of variants: Spec(cuda=False, cuda_arch=("90",))."""

    def __init__(self, **chosen):
        self.variants = {name: types.SimpleNamespace(value=value) for name, value in chosen.items()}

    def __contains__(self, text):
        return self.variants[text[1:]].value == (text[0] == "+")


class Recipe:
    """What Spack's base classes give to a package."""

    run_tests = False

    def define(self, name, value):
        text = {True: "ON", False: "OFF"}.get(value, value)
        return f"-D{name}={text}"

    def define_from_variant(self, name, variant):
        return self.define(name, self.spec.variants[variant].value)


def spack_stand_in(declared):
    class Anything:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    def directive(name):
        def note(*args, **kwargs):
            declared.setdefault(name, []).append((args, kwargs))
            return Anything()
        return note

    module = types.ModuleType("spack.package")
    for name in ("license", "version", "variant", "depends_on", "conflicts", "extends", "when",
                 "default_args"):
        setattr(module, name, directive(name))
    module.run_after = lambda phase: lambda function: function
    module.join_path = os.path.join
    module.CMakePackage = type("CMakePackage", (Recipe,), {})
    module.CudaPackage = type("CudaPackage", (), {})
    module.__all__ = [name for name in vars(module) if not name.startswith("__")]
    return module


def options_of_build(source):
    text = ""
    for path in glob.glob(os.path.join(source, "**", "CMakeLists.txt"), recursive=True):
        if not os.path.relpath(path, source).startswith("build"):
            with open(path, encoding="utf-8") as file:
                text += file.read()
    named = re.findall(r"(?:option\(|set\()(WEFT_[A-Z_]+)[^)]*?(?:CACHE|\"|\bO[NF])", text)
    return set(named)


def check_spack(source, known):
    declared = {}
    sys.modules["spack"] = types.ModuleType("spack")
    sys.modules["spack.package"] = spack_stand_in(declared)
    path = os.path.join(source, "slurm", "packaging", "spack", "packages", "weft", "package.py")
    with open(path, encoding="utf-8") as file:
        space = {}
        exec(compile(file.read(), path, "exec"), space)  # as Spack does
    recipe = space["Weft"]()
    variants = {args[0] for args, _ in declared["variant"]}
    assert variants == {"mpi", "pmix", "python", "docs"}, variants
    assert all(kwargs.get("msg") for _, kwargs in declared["conflicts"]), "a conflict says nothing"
    for cuda, archs, code in ((False, ("none",), None), (True, ("none",), None),
                              (True, ("80", "90"), "--generate-code=arch=compute_80,code=sm_80;"
                                                   "--generate-code=arch=compute_90a,code=sm_90a")):
        recipe.spec = Spec(cuda=cuda, cuda_arch=archs, mpi=True, pmix=False, docs=True, python=False)
        arguments = dict(re.fullmatch(r"-D(\w+)=(.*)", a).groups() for a in recipe.cmake_args())
        assert set(arguments) <= known, set(arguments) - known
        assert arguments["WEFT_CUDA"] == ("ON" if cuda else "OFF")
        assert arguments["WEFT_PMIX"] == "OFF" and arguments["WEFT_MPI"] == "ON"
        assert arguments.get("WEFT_CUDA_CODE") == code, arguments


def check_easybuild(source, known):
    for path in glob.glob(os.path.join(source, "slurm", "packaging", "easybuild", "*.eb")):
        space = {"SOURCE_TAR_GZ": "weft.tar.gz", "SYSTEM": "system"}
        with open(path, encoding="utf-8") as file:
            exec(compile(file.read(), path, "exec"), space)
        options = set(re.findall(r"-D(WEFT_\w+)=", space["configopts"]))
        assert options and options <= known, (path, options - known)
        suffix = space.get("versionsuffix", "") % {"cudaver": dict(
            (d[0], d[1]) for d in space["dependencies"]).get("CUDA", "")}
        name = f"weft-{space['version']}-foss-{space['toolchain']['version']}{suffix}.eb"
        assert os.path.basename(path) == name, (path, name)


def check_image(source):
    path = os.path.join(source, "slurm", "packaging", "apptainer", "weft.def")
    with open(path, encoding="utf-8") as file:
        sections = re.split(r"^%(\w+)\n", file.read(), flags=re.M)
    sections = dict(zip(sections[1::2], sections[2::2]))
    copied = [line.split()[0] for line in sections["files"].splitlines() if line.strip()]
    for name in copied:
        assert os.path.exists(os.path.join(source, name)), f"%files names {name}"
    with open(os.path.join(source, "CMakeLists.txt"), encoding="utf-8") as file:
        folders = re.search(r"foreach\(folder ([^)]*)\)", file.read()).group(1).split()
    missing = {folder.split("/")[0] for folder in folders} - set(copied)
    assert not missing, f"%files leaves out {missing}"


def main():
    source = sys.argv[1]
    known = options_of_build(source)
    assert {"WEFT_CUDA", "WEFT_DOCS", "WEFT_TESTS", "WEFT_CUDA_CODE"} <= known, known
    check_spack(source, known)
    check_easybuild(source, known)
    check_image(source)


if __name__ == "__main__":
    main()
