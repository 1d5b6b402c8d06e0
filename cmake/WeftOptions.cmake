# Build options. AUTO takes what it finds and says so; ON fails when it is not there.
option(WEFT_TESTS "Build the tests" ON)
option(WEFT_WERROR "Treat warnings as errors" OFF)
option(WEFT_SANITIZE "Build with address and undefined-behaviour sanitizers" OFF)
set(WEFT_CUDA AUTO CACHE STRING "CUDA back end: AUTO, ON or OFF")
set(WEFT_MPI AUTO CACHE STRING "MPI communicator and launcher: AUTO, ON or OFF")
set(WEFT_PMIX AUTO CACHE STRING "Placement by PMIx: AUTO, ON or OFF")
set_property(CACHE WEFT_CUDA WEFT_MPI WEFT_PMIX PROPERTY STRINGS AUTO ON OFF)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# weft_report(<what> <text>): one line per optional part, so that the configure log tells what is in.
function(weft_report what text)
  message(STATUS "weft: ${what}: ${text}")
endfunction()
