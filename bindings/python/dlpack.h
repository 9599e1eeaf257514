// SPDX-License-Identifier: MIT
//
// The C structs of DLPack as an unversioned "dltensor" capsule holds them, by the published standard:
// https://dmlc.github.io/dlpack/latest/c_api.html
#ifndef TULLE_PYTHON_DLPACK_H
#define TULLE_PYTHON_DLPACK_H

#include <stdint.h>

typedef struct DLDevice {
    int32_t device_type;  ///< 1: CPU; 3 and 11: host memory that CUDA or ROCm has pinned
    int32_t device_id;
} DLDevice;

typedef struct DLDataType {
    uint8_t code;  ///< 2: IEEE float, 4: bfloat16
    uint8_t bits;
    uint16_t lanes;
} DLDataType;

typedef struct DLTensor {
    void *data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape;
    int64_t *strides;  ///< in elements; NULL: C order
    uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
    DLTensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

#endif
