# Sourced by the two commands: installs the Debian (or Ubuntu) packages that are missing, and only
# those. weft_packages build|run|test ... names the sets that are needed.

weft_package_set() {
    case $1 in
    build) echo build-essential cmake pkg-config git libopenmpi-dev libhdf5-dev libyaml-dev \
        libjansson-dev libxxhash-dev libpmix-dev libhwloc-dev libopenblas-dev libcmocka-dev ;;
    run) echo openmpi-bin python3 python3-h5py python3-numpy python3-venv ;;
    test) echo hdf5-tools python3-pandas procps mandoc file ;;
    slurm) echo slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge iproute2 util-linux ;;
    *) echo "packages.sh: no set '$1'" >&2; return 1 ;;
    esac
}

weft_is_installed() { [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]; }

weft_packages() {
    local set package missing=()
    for set in "$@"; do
        for package in $(weft_package_set "$set"); do
            weft_is_installed "$package" || missing+=("$package")
        done
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}"
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # Ubuntu and Debian print pages of progress here; only failures matter.
    local log
    log=$(mktemp)
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "could not install: ${missing[*]}" >&2
        return 1
    fi
    rm -f "$log"
}

# Open MPI on small machines and in containers: ranks that wait leave the core to the others, and
# root may run them.
weft_mpi_environment() {
    export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1
    export OMPI_MCA_btl_base_warn_component_unused=0
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}

# Configures and builds into build/; quiet unless it fails.
weft_build() {
    local log=build/build.log
    mkdir -p build
    echo "building into build/ (a few minutes the first time)"
    if ! { cmake --preset release "$@" && cmake --build build -j "$(nproc)"; } >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "the build failed; all of it is in $log" >&2
        return 1
    fi
    grep -h '^-- weft:' "$log" || true
}
