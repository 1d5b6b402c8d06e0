// A libcuda of CUDA 11.4, for the test that a driver too old for this build is called so: it tells
// its version, and has nothing else. It needs no GPU.
int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags);

int cuInit(unsigned flags)
{
    (void)flags;
    return 0;
}

int cuDriverGetVersion(int *version)
{
    *version = 11040;
    return 0;
}

int cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags)
{
    (void)name;
    (void)version;
    (void)flags;
    *out = 0;
    return 500; // CUDA_ERROR_NOT_FOUND
}
