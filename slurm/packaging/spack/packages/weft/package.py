# Spack's recipe for Weft. See slurm/packaging/README.md.
from spack.package import *


class Weft(CMakePackage, CudaPackage):
    """Batch inference of large language models as MPI and Slurm jobs: tensor-parallel groups read
    request streams from HDF5 shards, fuse them into one batch, and write every token back."""

    license("Apache-2.0", checked_by="weft")

    # From a checkout: spack dev-build weft@0.1.0
    version("0.1.0")

    variant("mpi", default=True, description="Ranks over MPI, on one node or many")
    variant("pmix", default=True, description="Places ranks by what PMIx says of their nodes")
    variant("python", default=False, description="weft-text: text to shards, results to text")
    variant("docs", default=True, description="Manual pages and shell completions")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("hdf5@1.10:")
    depends_on("libyaml@0.2.5:")
    depends_on("jansson@2.13:")
    depends_on("xxhash@0.8:")
    depends_on("hwloc@2:")
    depends_on("mpi@3:", when="+mpi")
    depends_on("pmix@4:", when="+pmix")
    depends_on("cuda@12.4:", when="+cuda")
    depends_on("nccl@2.18:", when="+cuda")
    depends_on("cmocka", type="test")

    extends("python@3.9:", when="+python")
    depends_on("py-pip", type="build", when="+python")
    depends_on("py-setuptools@61:", type="build", when="+python")
    depends_on("py-wheel", type="build", when="+python")
    with when("+python"), default_args(type="run"):
        depends_on("py-h5py@3.7:")
        depends_on("py-numpy@1.22:")
        depends_on("py-tokenizers@0.13:")
        depends_on("py-xxhash@3:")

    conflicts("+pmix", when="~mpi", msg="PMIx places MPI ranks: +pmix needs +mpi")
    conflicts("platform=darwin", msg="Weft reads /proc and /sys: Linux only")
    conflicts("platform=windows", msg="Weft reads /proc and /sys: Linux only")
    conflicts("%gcc@:9", msg="Weft is C17 with AVX-512 intrinsics: gcc 10 or newer")
    for old in ("10", "11", "12", "13", "20", "21", "30", "32", "35", "37", "50", "52", "53",
                "60", "61", "62", "70", "72", "75"):
        conflicts(
            f"cuda_arch={old}",
            when="+cuda",
            msg="the kernels copy asynchronously and compute in bf16: capability 8.0 or newer",
        )

    def cuda_code(self):
        """nvcc's options for the chosen devices; Hopper's wgmma needs the letter. None chosen: as
        the build has it (Hopper, Ampere, and PTX for later ones)."""
        chosen = [a for a in self.spec.variants["cuda_arch"].value if a != "none"]
        names = ["90a" if arch == "90" else arch for arch in chosen]
        return ";".join(f"--generate-code=arch=compute_{n},code=sm_{n}" for n in names)

    def cmake_args(self):
        args = [
            self.define_from_variant("WEFT_CUDA", "cuda"),
            self.define_from_variant("WEFT_MPI", "mpi"),
            self.define_from_variant("WEFT_PMIX", "pmix"),
            self.define_from_variant("WEFT_DOCS", "docs"),
            self.define("WEFT_TESTS", self.run_tests),
        ]
        if "+cuda" in self.spec and self.cuda_code():
            args.append(self.define("WEFT_CUDA_CODE", self.cuda_code()))
        return args

    @run_after("install")
    def install_text(self):
        if "+python" in self.spec:
            pip = python.with_default_args("-m", "pip", "install", "--no-deps",
                                           "--no-build-isolation", f"--prefix={self.prefix}")
            pip(join_path(self.stage.source_path, "io", "python"))

    def test_sum(self):
        """the demo's model adds two numbers"""
        model = join_path(self.prefix.share.doc.weft.examples, "demo", "model")
        weft = Executable(self.prefix.bin.weft)
        with open("prompts.jsonl", "w") as lines:
            lines.write('{"prompt": "add:61+633=", "max_new_tokens": 8}\n')
        weft("pack", "--bytes", "--bos", "256", "prompts.jsonl", "-o", "prompts.h5", "-f")
        with open("job.yaml", "w") as job:
            job.write(f"model: {{path: {model}}}\n"
                      "requests: [prompts.h5]\nparallel: {backend: cpu}\noutput: {dir: out}\n")
        weft("run", "--fresh", "job.yaml")
        assert "694" in weft("show", "--row", "0", "--bytes", "out", output=str)
