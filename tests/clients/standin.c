/* A PKCS#11 module in front of another (STANDIN_MODULE), which shows what SoftHSM cannot:
 *   STANDIN_FLAGS    flags (hex) that are added to those of every token
 *   STANDIN_LOGIN    the return code (hex) of every C_Login, in place of the module's
 *   STANDIN_NO_SIGN  mechanisms (hex, separated by commas) that lose the flag CKF_SIGN
 *   STANDIN_LOG      a file to which each call of C_Initialize, C_Login and C_FindObjectsInit is added
 * The structures are written out, so that no header is needed (PKCS#11 v2.40, 64-bit Unix). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ulong_t;
typedef ulong_t (*function)(void);

/* The order of CK_FUNCTION_LIST. */
enum { INITIALIZE = 0, TOKEN_INFO = 6, MECHANISM_INFO = 8, LOGIN = 18, FIND_OBJECTS_INIT = 26, COUNT = 68 };

struct list {
    unsigned char version[2];
    function functions[COUNT];
};

struct token_info {
    char texts[96];
    ulong_t flags;
    /* more follows, which is the module's */
};

struct mechanism_info {
    ulong_t min, max, flags;
};

static struct list real, ours;

static void note(const char *call) {
    const char *path = getenv("STANDIN_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", call);
        fclose(file);
    }
}

static ulong_t initialize(void *arguments) {
    note("C_Initialize");
    return ((ulong_t (*)(void *))real.functions[INITIALIZE])(arguments);
}

static ulong_t token_info(ulong_t slot, struct token_info *info) {
    ulong_t code = ((ulong_t (*)(ulong_t, struct token_info *))real.functions[TOKEN_INFO])(slot, info);
    const char *flags = getenv("STANDIN_FLAGS");
    if (code == 0 && flags)
        info->flags |= strtoul(flags, NULL, 16);
    return code;
}

static ulong_t mechanism_info(ulong_t slot, ulong_t mechanism, struct mechanism_info *info) {
    ulong_t code = ((ulong_t (*)(ulong_t, ulong_t, struct mechanism_info *))real
                        .functions[MECHANISM_INFO])(slot, mechanism, info);
    const char *at = getenv("STANDIN_NO_SIGN");
    while (code == 0 && at && *at) {
        char *end;
        if (strtoul(at, &end, 16) == mechanism)
            info->flags &= ~0x800ul;
        at = *end ? end + 1 : end;
    }
    return code;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    const char *code = getenv("STANDIN_LOGIN");
    note("C_Login");
    if (code)
        return strtoul(code, NULL, 16);
    return ((ulong_t (*)(ulong_t, ulong_t, unsigned char *, ulong_t))real.functions[LOGIN])(
        session, user, pin, length);
}

static ulong_t find_objects_init(ulong_t session, void *template, ulong_t count) {
    note("C_FindObjectsInit");
    return ((ulong_t (*)(ulong_t, void *, ulong_t))real.functions[FIND_OBJECTS_INIT])(
        session, template, count);
}

ulong_t C_GetFunctionList(struct list **list) {
    const char *path = getenv("STANDIN_MODULE");
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    ulong_t (*get)(struct list **) = module ? (ulong_t(*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
    struct list *found;
    if (!get || get(&found) != 0)
        return 5;
    real = ours = *found;
    ours.functions[INITIALIZE] = (function)initialize;
    ours.functions[TOKEN_INFO] = (function)token_info;
    ours.functions[MECHANISM_INFO] = (function)mechanism_info;
    ours.functions[LOGIN] = (function)login;
    ours.functions[FIND_OBJECTS_INIT] = (function)find_objects_init;
    *list = &ours;
    return 0;
}
