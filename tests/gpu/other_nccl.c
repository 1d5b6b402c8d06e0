// A libnccl of another version, for the test that ranks with different ones refuse each other: it
// tells its version, and can do nothing else.
#define OTHER_FUNCTIONS(X)                                                                         \
    X(ncclGetUniqueId)                                                                             \
    X(ncclCommInitRank)                                                                            \
    X(ncclCommDestroy)                                                                             \
    X(ncclCommAbort)                                                                               \
    X(ncclCommGetAsyncError)                                                                       \
    X(ncclAllReduce)                                                                               \
    X(ncclAllGather)

#define OTHER_FAILS(name)                                                                          \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return 3; /* ncclInternalError */                                                          \
    }
OTHER_FUNCTIONS(OTHER_FAILS)

int ncclGetVersion(int *version);
const char *ncclGetErrorString(int result);
const char *ncclGetLastError(void *comm);

int ncclGetVersion(int *version)
{
    *version = 21805;
    return 0;
}

const char *ncclGetErrorString(int result)
{
    (void)result;
    return "another library";
}

const char *ncclGetLastError(void *comm)
{
    (void)comm;
    return "";
}
