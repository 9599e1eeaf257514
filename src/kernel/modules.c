// SPDX-License-Identifier: MIT
//
// The embedded SPIR-V.
#include <string.h>

#include "kernel/pipeline.h"

#include "modules_generated.h"

const struct module *module_find(const char *name) {
    for (const struct module *m = module_table; m->name; m++)
        if (!strcmp(m->name, name)) return m;
    return NULL;
}

bool modules_complete(void) { return MODULES_ABSENT == 0; }

const char *module_absent(const char *name) {
    const struct module *module = module_find(name);
    return module ? module->absent : "shaders/variants.def names no such module";
}
