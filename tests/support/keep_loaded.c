// SPDX-License-Identifier: MIT
//
// Preloaded under AddressSanitizer (tools/check --full): libraries stay loaded, so that the report
// of leaks at exit can name drivers and layers, and tests/support/leaks.supp can tell their leaks from
// Tulle's.
int dlclose(void *handle);
int dlclose(void *handle) { return (void)handle, 0; }
