// LD_PRELOAD library: makes the device of this process fail when SIGUSR2 comes, which
// WEFT_FAULT="usr2@step=20" sends.
//
//   FAILING_DEVICE="illegal"   a kernel writes to no memory: the context is lost for good, as after
//                              any error that CUDA calls sticky
//   FAILING_DEVICE="memory"    what is left of the device's memory is taken
//   FAILING_DEVICE_MARK        made when the device has failed; the signal returns only then
//
// The driver is found as the program finds it; only its calls are used, in the context that the
// program works in, so that the error is the driver's own and not a pretended one.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void *handle;

// Driver calls by name; every one returns 0 when all is well.
typedef struct driver {
    int (*count)(int *n);
    int (*get)(int *device, int index);
    int (*state)(int device, unsigned *flags, int *active);
    int (*retain)(handle *context, int device);
    int (*use)(handle context);
    int (*load)(handle *module, const void *image);
    int (*find)(handle *function, handle module, const char *name);
    int (*launch)(handle function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  unsigned, handle stream, void **args, void **extra);
    int (*wait)(void);
    int (*alloc)(unsigned long long *out, size_t bytes);
} driver;

// Lands in no allocation: the first page is never mapped.
static const char bad_kernel[] = ".version 7.0\n.target sm_80\n.address_size 64\n"
                                 ".visible .entry bad()\n{\n"
                                 "    .reg .u64 %at;\n    .reg .u32 %x;\n"
                                 "    mov.u64 %at, 64;\n    mov.u32 %x, 1;\n"
                                 "    st.global.u32 [%at], %x;\n    ret;\n}\n";

static void must(int rc, const char *what)
{
    if (rc == 0) return;
    fprintf(stderr, "failing_device: %s: %d\n", what, rc);
    abort();
}

static void *call(void *library, const char *name)
{
    void *found = dlsym(library, name);
    must(found == NULL, name);
    return found;
}

static driver find_driver(void)
{
    driver d;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    must(library == NULL, "the program has opened no driver");
    *(void **)&d.count = call(library, "cuDeviceGetCount");
    *(void **)&d.get = call(library, "cuDeviceGet");
    *(void **)&d.state = call(library, "cuDevicePrimaryCtxGetState");
    *(void **)&d.retain = call(library, "cuDevicePrimaryCtxRetain");
    *(void **)&d.use = call(library, "cuCtxSetCurrent");
    *(void **)&d.load = call(library, "cuModuleLoadData");
    *(void **)&d.find = call(library, "cuModuleGetFunction");
    *(void **)&d.launch = call(library, "cuLaunchKernel");
    *(void **)&d.wait = call(library, "cuCtxSynchronize");
    *(void **)&d.alloc = call(library, "cuMemAlloc_v2");
    return d;
}

// The context that the program works in becomes that of this thread.
static void join_context(const driver *d)
{
    int n = 0, device = 0, active = 0;
    unsigned flags = 0;
    handle context = NULL;
    must(d->count(&n), "counting devices");
    for (int i = 0; i < n && !active; i++) {
        must(d->get(&device, i), "device");
        must(d->state(device, &flags, &active), "state of a device");
    }
    must(!active, "the program uses no device");
    must(d->retain(&context, device), "its context");
    must(d->use(context), "its context");
}

static void fail_kernel(const driver *d)
{
    handle module = NULL, function = NULL;
    must(d->load(&module, bad_kernel), "a bad kernel");
    must(d->find(&function, module, "bad"), "a bad kernel");
    (void)d->launch(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
    must(d->wait() == 0, "the bad kernel did no harm");
}

static void take_memory(const driver *d)
{
    unsigned long long at = 0;
    for (size_t bytes = (size_t)1 << 36; bytes >= 4096; bytes /= 2)
        while (d->alloc(&at, bytes) == 0)
            ;
}

static int wake[2], done[2]; // pipes from and to the signal's handler

static void *strike(void *unused)
{
    char byte = 0;
    const char *what = getenv("FAILING_DEVICE"), *mark = getenv("FAILING_DEVICE_MARK");
    must(read(wake[0], &byte, 1) != 1, "pipe");
    driver d = find_driver();
    join_context(&d);
    if (strcmp(what, "illegal") == 0)
        fail_kernel(&d);
    else if (strcmp(what, "memory") == 0)
        take_memory(&d);
    else
        must(1, what);
    int fd = mark ? open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) close(fd);
    must(write(done[1], &byte, 1) != 1, "pipe");
    return unused;
}

static void on_signal(int number)
{
    char byte = (char)number;
    if (write(wake[1], &byte, 1) != 1 || read(done[0], &byte, 1) != 1) abort();
}

// The thread that strikes takes no signal itself: the handler waits for it.
__attribute__((constructor)) static void prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t all, before;
    pthread_t thread;
    if (!getenv("FAILING_DEVICE")) return;
    must(sigaction(SIGUSR2, &action, NULL), "sigaction");
    must(pipe(wake) || pipe(done), "pipe");
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before), "sigmask");
    must(pthread_create(&thread, NULL, strike, NULL), "thread");
    must(pthread_sigmask(SIG_SETMASK, &before, NULL), "sigmask");
}
