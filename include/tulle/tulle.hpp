// SPDX-License-Identifier: MIT
//
// Tulle from C++17 or later: owners for the objects of tulle.h, errors as exceptions or as results, spans that are checked.
//
// Contents, in reading order:
//
//     Errors     exception; result<T>, status
//     Spans      span; input, output: arrays of any element, with their lengths
//     Handles    context, pattern, patterns, plan, binding, merger: move-only; each destroys what it owns
//     Merging    merge
//
// Each fallible function is there twice: create() throws tulle::exception, try_create() returns a result<T>, which is false
// where it failed, and then holds an empty handle and the error. Without exceptions (-fno-exceptions, or TULLE_NO_EXCEPTIONS
// defined) only the second is declared.
//
// An empty handle (default-constructed, moved from, released) may be destroyed, assigned to and passed to any function here:
// those that can fail then do, with INVALID_ARGUMENT, and the others answer with zeros.
//
// What may be done on which thread, and how long callbacks and an imported device must stay, is as in tulle.h. Handles may be
// declared, assigned and destroyed in any order: what one of them needs is held until it goes.
#ifndef TULLE_TULLE_HPP
#define TULLE_TULLE_HPP

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__has_include) && __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif
#if !defined(TULLE_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define TULLE_NO_EXCEPTIONS
#endif
#ifndef TULLE_NO_EXCEPTIONS
#include <stdexcept>
#endif

#include "inspect.h"

namespace tulle {

// -------------------------------------------------------------------------------------------------
// Errors

#ifndef TULLE_NO_EXCEPTIONS
/// what() is the library's message.
class exception : public std::runtime_error {
  public:
    explicit exception(const tulle_error &error)
        : std::runtime_error(error.message), result_(error.result) {}
    tulle_result result() const noexcept { return result_; }

  private:
    tulle_result result_;
};
#endif

template <class T> class result;

/// Of a function that gives nothing.
template <> class [[nodiscard]] result<void> {
  public:
    result() noexcept = default;
    result(const tulle_error &error) noexcept : error_(error) {}
    explicit operator bool() const noexcept { return error_.result == TULLE_OK; }
    /// Its `result` is TULLE_OK where nothing failed.
    const tulle_error &error() const noexcept { return error_; }
#ifndef TULLE_NO_EXCEPTIONS
    /// Throws the error, if there is one.
    void value() const {
        if (error_.result) throw exception(error_);
    }
#endif

  private:
    tulle_error error_{};
};

using status = result<void>;

/// A value, or an error and an empty value.
template <class T> class [[nodiscard]] result {
  public:
    result(T value) noexcept : value_(std::move(value)) {}
    result(const tulle_error &error) noexcept : status_(error) {}
    explicit operator bool() const noexcept { return static_cast<bool>(status_); }
    const tulle_error &error() const noexcept { return status_.error(); }
    T &operator*() & noexcept { return value_; }
    const T &operator*() const & noexcept { return value_; }
    T &&operator*() && noexcept { return std::move(value_); }
    T *operator->() noexcept { return &value_; }
    const T *operator->() const noexcept { return &value_; }
#ifndef TULLE_NO_EXCEPTIONS
    /// The value moved out; or throws the error.
    T value() && {
        status_.value();
        return std::move(value_);
    }
#endif

  private:
    T value_{};
    status status_;
};

// -------------------------------------------------------------------------------------------------
// Spans

#ifdef __cpp_lib_span
template <class T> using span = std::span<T>;
#else
/// A pointer and a size, as C++20's std::span, which it is there.
template <class T> class span {
  public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    /// Of what has data() and size(): std::vector, std::array, another span.
    template <class R,
              class = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::data(std::declval<R &>()))> (*)[], T (*)[]>>>
    constexpr span(R &&range) noexcept : data_(std::data(range)), size_(std::size(range)) {}
    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return !size_; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// Host memory with its length, from anything contiguous. Elements are known by their size alone: fp16 and bf16 may be
/// std::uint16_t, std::float16_t or a host's own type.
template <class Void> class array {
  public:
    constexpr array() noexcept = default;
    template <class R, class Data = decltype(std::data(std::declval<R &>())),
              class = std::enable_if_t<std::is_convertible_v<Data, Void *> &&
                                       !std::is_base_of_v<array, std::remove_reference_t<R>>>>
    constexpr array(R &&range) noexcept
        : data_(std::data(range)), count_(std::size(range)), element_(sizeof *std::data(range)) {}
    constexpr Void *data() const noexcept { return data_; }
    constexpr std::size_t count() const noexcept { return count_; }
    constexpr std::size_t element() const noexcept { return element_; }  ///< bytes

  private:
    Void *data_ = nullptr;
    std::size_t count_ = 0, element_ = 0;
};
using input = array<const void>;
using output = array<void>;

// -------------------------------------------------------------------------------------------------
// Handles

/// Owns one object of the library's.
template <class T, void (*Destroy)(T *)> class handle {
  public:
    using object = T;
    handle() noexcept = default;
    explicit handle(T *owned) noexcept : owned_(owned) {}
    handle(handle &&other) noexcept : owned_(other.release()) {}
    handle &operator=(handle &&other) noexcept {
        reset(other.release());
        return *this;
    }
    ~handle() { Destroy(owned_); }
    T *get() const noexcept { return owned_; }
    explicit operator bool() const noexcept { return owned_; }
    /// The caller's to destroy from now on.
    T *release() noexcept { return std::exchange(owned_, nullptr); }
    void reset(T *owned = nullptr) noexcept { Destroy(std::exchange(owned_, owned)); }

  protected:
    T *const *address() const noexcept { return &owned_; }

  private:
    T *owned_ = nullptr;
};

namespace detail {
/// Calls f(&object, &error), a function of tulle.h that makes one.
template <class Handle, class F> result<Handle> made(F f) {
    typename Handle::object *object = nullptr;
    tulle_error error{};
    if (f(&object, &error)) return error;
    return Handle(object);
}
/// Calls f(&error).
template <class F> status done(F f) {
    tulle_error error{};
    if (f(&error)) return error;
    return {};
}
#ifdef __GNUC__
__attribute__((format(printf, 1, 2)))
#endif
inline tulle_error
invalid(const char *format, ...) {
    tulle_error error{};
    error.result = TULLE_ERROR_INVALID_ARGUMENT;
    std::va_list values;
    va_start(values, format);
    std::vsnprintf(error.message, sizeof error.message, format, values);
    va_end(values);
    return error;
}
}  // namespace detail

/// What one pattern prints as.
inline std::string to_string(const tulle_pattern *pattern) {
    std::string text(tulle_pattern_print(pattern, nullptr, 0), '\0');
    tulle_pattern_print(pattern, text.data(), text.size() + 1);
    return text;
}

/// A device.
class context : public handle<tulle_context, tulle_context_destroy> {
  public:
    using handle::handle;
    static result<context> try_create(const tulle_context_params &params = {}) {
        return detail::made<context>([&](tulle_context **out, tulle_error *error) {
            return tulle_context_create(&params, out, error);
        });
    }
    tulle_device_info info() const noexcept {
        tulle_device_info info{};
        tulle_context_info(get(), &info);
        return info;
    }
    /// What to create a plan's buffers with, for the fastest kernels.
    VkBufferUsageFlags buffer_usage() const noexcept { return tulle_buffer_usage(get()); }
#ifndef TULLE_NO_EXCEPTIONS
    static context create(const tulle_context_params &params = {}) {
        return try_create(params).value();
    }
#endif
};

/// Every Vulkan device.
inline result<std::vector<tulle_device_info>> try_devices() {
    uint32_t count = 0;
    tulle_error error{};
    if (tulle_devices(&count, nullptr, &error)) return error;
    std::vector<tulle_device_info> devices(count);
    if (count && tulle_devices(&count, devices.data(), &error)) return error;
    devices.resize(count);
    return devices;
}

/// One union of terms.
class pattern : public handle<tulle_pattern, tulle_pattern_destroy> {
  public:
    using handle::handle;
    static result<pattern> try_create(span<const tulle_term> terms) {
        return detail::made<pattern>([&](tulle_pattern **out, tulle_error *error) {
            return tulle_pattern_create(terms.data(), static_cast<uint32_t>(terms.size()), out,
                                        error);
        });
    }
    bool selects(const tulle_pattern_site &site, int64_t p, int64_t j) const noexcept {
        return tulle_pattern_selects(get(), &site, p, j);
    }
    std::string to_string() const { return tulle::to_string(get()); }
    /// As the one pattern of a plan; valid as long as this object is where it is.
    operator span<const tulle_pattern *const>() const noexcept {
        return span<const tulle_pattern *const>(address(), 1);
    }
#ifndef TULLE_NO_EXCEPTIONS
    static pattern create(span<const tulle_term> terms) { return try_create(terms).value(); }
#endif
};

/// What a spec says: patterns for the heads in turn.
class patterns {
  public:
    patterns() noexcept = default;
    patterns(patterns &&other) noexcept
        : owned_(std::exchange(other.owned_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    patterns &operator=(patterns &&other) noexcept {
        std::swap(owned_, other.owned_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~patterns() { tulle_patterns_free(owned_, count_); }
    static result<patterns> try_parse(const char *spec,
                                      const tulle_array_loader *loader = nullptr) {
        patterns read;
        tulle_error error{};
        if (tulle_pattern_parse(spec, loader, &read.owned_, &read.count_, &error)) return error;
        return read;
    }
    std::size_t size() const noexcept { return count_; }
    const tulle_pattern *operator[](std::size_t i) const noexcept { return owned_[i]; }
    const tulle_pattern *const *data() const noexcept { return owned_; }
    const tulle_pattern *const *begin() const noexcept { return owned_; }
    const tulle_pattern *const *end() const noexcept { return owned_ + count_; }
    /// Joined by ';', as they are read.
    std::string to_string() const {
        std::string text;
        for (uint32_t i = 0; i < count_; i++) {
            if (i) text += ';';
            text += tulle::to_string(owned_[i]);
        }
        return text;
    }
#ifndef TULLE_NO_EXCEPTIONS
    static patterns parse(const char *spec, const tulle_array_loader *loader = nullptr) {
        return try_parse(spec, loader).value();
    }
#endif

  private:
    tulle_pattern **owned_ = nullptr;
    uint32_t count_ = 0;
};

/// The lists of a tulle_attention_desc, whose lengths are checked. Empty: what the descriptor says.
struct lists {
    span<const float> alibi_slopes, sink_logits;  ///< heads entries each
    span<const uint32_t> head_pattern;            ///< heads
    span<const int32_t> q_offsets;                ///< 1, or batch (or sequences); sets q_align
    span<const int32_t> q_lengths = {}, kv_lengths = {}, kv_starts = {};  ///< batch each
    span<const int32_t> cu_q = {}, cu_kv = {};  ///< sequences + 1 each; sets sequences
    span<const uint32_t> entry_pattern = {};    ///< batch (or sequences) × heads
    span<const uint32_t> trees = {};            ///< the same, × tree_rows × (tree_rows + 31) / 32
};

/// Host arrays. Strides as in tulle_host_arrays, but not negative.
struct host_arrays {
    input q, k, v;
    output o, lse;
    tulle_strides q_strides{}, k_strides{}, v_strides{}, o_strides{};
    bool q_broadcast = false, k_broadcast = false, v_broadcast = false;
    span<const int32_t> page_table = {};  ///< batch × table_columns; where desc has a page_size
};

/// One attention of one shape.
class plan : public handle<tulle_plan, tulle_plan_destroy> {
  public:
    using handle::handle;
    /// patterns: a pattern, patterns, or an array of pointers; empty for what desc says. desc.buffer_usage: 0 for host arrays alone; for buffers what they have, best context.buffer_usage().
    static result<plan> try_create(const context &context, tulle_attention_desc desc,
                                   span<const tulle_pattern *const> patterns = {},
                                   const lists &lists = {}) {
        const status put = put_lists(desc, lists);
        if (!put) return put.error();
        if (!patterns.empty()) {
            desc.patterns = patterns.data();
            desc.pattern_count = static_cast<uint32_t>(patterns.size());
        }
        result<plan> created = detail::made<plan>([&](tulle_plan **out, tulle_error *error) {
            return tulle_plan_create(context.get(), &desc, out, error);
        });
        created->remember(desc);
        return created;
    }
    tulle_plan_info info() const noexcept {
        tulle_plan_info info{};
        tulle_plan_get_info(get(), &info);
        return info;
    }
    /// tulle_attention, where each array's length and element are right.
    status try_attention(const host_arrays &arrays, const tulle_timing *timing = nullptr) const {
        if (*this) {
            const std::size_t in = tulle_dtype_size(desc_.dtype),
                              out = desc_.o_dtype == TULLE_O_F32 ? 4 : in;
            const tulle_strides rows{ int64_t(desc_.heads) * desc_.q_len, desc_.q_len, 1 };
            const bool paged = desc_.page_size != 0;
            const uint32_t kv_batch = paged ? desc_.pages : desc_.batch,
                           keys = paged ? desc_.page_size : desc_.kv_len;
            const std::size_t cells = std::size_t(desc_.batch) * desc_.table_columns;
            if (paged && arrays.page_table.data() && arrays.page_table.size() != cells)
                return detail::invalid("page_table has %zu entries; %zu are wanted",
                                       arrays.page_table.size(), cells);
            for (const status &checked :
                 { check("q", arrays.q, in, desc_.batch, desc_.heads, desc_.q_len, desc_.head_dim,
                         arrays.q_strides, arrays.q_broadcast, desc_.q, desc_.q_broadcast),
                   check("k", arrays.k, in, kv_batch, desc_.kv_heads, keys, desc_.head_dim,
                         arrays.k_strides, arrays.k_broadcast, desc_.k, desc_.k_broadcast),
                   check("v", arrays.v, in, kv_batch, desc_.kv_heads, keys, desc_.v_head_dim,
                         arrays.v_strides, arrays.v_broadcast, desc_.v, desc_.v_broadcast),
                   check("o", arrays.o, out, desc_.batch, desc_.heads, desc_.q_len,
                         desc_.v_head_dim, arrays.o_strides, false, desc_.o, false),
                   desc_.lse ? check("lse", arrays.lse, sizeof(float), desc_.batch, desc_.heads,
                                     desc_.q_len, 1, rows, false, rows, false)
                             : status() })
                if (!checked) return checked;
        }
        tulle_host_arrays given{};
        given.q = arrays.q.data();
        given.k = arrays.k.data();
        given.v = arrays.v.data();
        given.o = arrays.o.data();
        given.lse = static_cast<float *>(arrays.lse.data());
        given.q_strides = arrays.q_strides;
        given.k_strides = arrays.k_strides;
        given.v_strides = arrays.v_strides;
        given.o_strides = arrays.o_strides;
        given.q_broadcast = arrays.q_broadcast;
        given.k_broadcast = arrays.k_broadcast;
        given.v_broadcast = arrays.v_broadcast;
        given.page_table = arrays.page_table.data();
        return detail::done(
            [&](tulle_error *error) { return tulle_attention(get(), &given, timing, error); });
    }
    status try_prepare(VkCommandBuffer cmd) const {
        return detail::done(
            [&](tulle_error *error) { return tulle_cmd_prepare(cmd, get(), error); });
    }
    /// Selected pairs over batch and heads.
    result<uint64_t> try_count_pairs() const {
        uint64_t pairs = 0;
        tulle_error error{};
        if (tulle_plan_count_pairs(get(), &pairs, &error)) return error;
        return pairs;
    }
#ifndef TULLE_NO_EXCEPTIONS
    static plan create(const context &context, const tulle_attention_desc &desc,
                       span<const tulle_pattern *const> patterns = {}, const lists &lists = {}) {
        return try_create(context, desc, patterns, lists).value();
    }
    void attention(const host_arrays &arrays, const tulle_timing *timing = nullptr) const {
        try_attention(arrays, timing).value();
    }
    void prepare(VkCommandBuffer cmd) const { try_prepare(cmd).value(); }
    uint64_t count_pairs() const { return try_count_pairs().value(); }
#endif

  private:
    tulle_attention_desc desc_{};  ///< shape, dtypes and strides, without defaults; no pointers

    void remember(const tulle_attention_desc &desc) noexcept {
        desc_.batch = desc.batch ? desc.batch : 1;
        desc_.heads = desc.heads;
        desc_.kv_heads = desc.kv_heads ? desc.kv_heads : desc.heads;
        desc_.q_len = desc.q_len;
        desc_.kv_len = desc.kv_len;
        desc_.head_dim = desc.head_dim;
        desc_.v_head_dim = desc.v_head_dim ? desc.v_head_dim : desc.head_dim;
        desc_.dtype = desc.dtype;
        desc_.o_dtype = desc.o_dtype;
        desc_.q = desc.q;
        desc_.k = desc.k;
        desc_.v = desc.v;
        desc_.o = desc.o;
        desc_.q_broadcast = desc.q_broadcast;
        desc_.k_broadcast = desc.k_broadcast;
        desc_.v_broadcast = desc.v_broadcast;
        desc_.lse = desc.lse;
        desc_.page_size = desc.page_size;
        desc_.pages = desc.pages;
        desc_.table_columns = desc.table_columns;
    }

    static status put_lists(tulle_attention_desc &desc, const lists &lists) {
        const uint32_t batch = desc.batch ? desc.batch : 1;
        if (!lists.cu_q.empty()) desc.sequences = static_cast<uint32_t>(lists.cu_q.size() - 1);
        const uint32_t sequences = desc.sequences ? desc.sequences : batch;
        if (!lists.q_offsets.empty()) {
            desc.q_align = TULLE_ALIGN_GIVEN;
            desc.q_offset_count = static_cast<uint32_t>(lists.q_offsets.size());
            desc.q_offsets = lists.q_offsets.data();
        }
        for (const status &checked :
             { put("alibi_slopes", desc.alibi_slopes, lists.alibi_slopes, desc.heads),
               put("sink_logits", desc.sink_logits, lists.sink_logits, desc.heads),
               put("head_pattern", desc.head_pattern, lists.head_pattern, desc.heads),
               put("q_lengths", desc.q_lengths, lists.q_lengths, batch),
               put("kv_lengths", desc.kv_lengths, lists.kv_lengths, batch),
               put("kv_starts", desc.kv_starts, lists.kv_starts, batch),
               put("cu_q", desc.cu_q, lists.cu_q, desc.sequences + 1),
               put("cu_kv", desc.cu_kv, lists.cu_kv, desc.sequences + 1),
               put("entry_pattern", desc.entry_pattern, lists.entry_pattern,
                   sequences * desc.heads),
               put("trees", desc.trees, lists.trees,
                   uint64_t(sequences) * desc.tree_rows * ((uint64_t(desc.tree_rows) + 31) / 32)) })
            if (!checked) return checked;
        return {};
    }
    template <class T>
    static status put(const char *name, const T *&field, span<const T> list, uint64_t count) {
        if (list.empty()) return {};
        if (list.size() != count)
            return detail::invalid("%s has %zu entries; %llu are wanted", name, list.size(),
                                   static_cast<unsigned long long>(count));
        field = list.data();
        return {};
    }

    /// Does the array hold all elements of [batch (of paged K and V: pages), heads, rows, dim] at these strides (all zero: the plan's, or literally)?
    template <class Void>
    status check(const char *name, const array<Void> &array, std::size_t element, uint32_t batch,
                 uint32_t heads, uint32_t rows, uint32_t dim, tulle_strides strides, bool literal,
                 const tulle_strides &planned, bool planned_literal) const {
        const auto zero = [](const tulle_strides &s) { return !s.batch && !s.head && !s.row; };
        if (zero(strides) && !literal) {
            strides = planned;
            if (zero(strides) && !planned_literal)
                strides = { int64_t(heads) * rows * dim, int64_t(rows) * dim, dim };
        }
        if (!array.data()) return {};  // which tulle_attention refuses
        if (array.element() != element)
            return detail::invalid("%s has elements of %zu bytes; the plan's have %zu", name,
                                   array.element(), element);
        bool fits = array.count() >= dim;
        uint64_t left = fits ? array.count() - dim : 0;
        const struct {
            int64_t stride;
            uint32_t length;
        } axes[] = { { strides.batch, batch }, { strides.head, heads }, { strides.row, rows } };
        for (const auto &axis : axes) {
            if (axis.length == 1) continue;
            if (axis.stride < 0)
                return detail::invalid(
                    "%s has a negative stride; tulle_attention of tulle.h takes that, from a pointer",
                    name);
            const uint64_t steps = axis.length - 1, stride = static_cast<uint64_t>(axis.stride);
            fits = fits && stride <= left / steps;
            left -= fits ? stride * steps : 0;
        }
        if (!fits)
            return detail::invalid(
                "%s has %zu elements; too few for [%u, %u, %u, %u] at strides %lld, %lld, %lld",
                name, array.count(), static_cast<unsigned>(batch), static_cast<unsigned>(heads),
                static_cast<unsigned>(rows), static_cast<unsigned>(dim),
                static_cast<long long>(strides.batch), static_cast<long long>(strides.head),
                static_cast<long long>(strides.row));
        return {};
    }
};

/// A plan's tensors.
class binding : public handle<tulle_binding, tulle_binding_destroy> {
  public:
    using handle::handle;
    static result<binding> try_create(const plan &plan, const tulle_buffers &buffers) {
        return detail::made<binding>([&](tulle_binding **out, tulle_error *error) {
            return tulle_binding_create(plan.get(), &buffers, out, error);
        });
    }
    /// tulle_cmd_attention; count 0: all dispatches from `first` on.
    status try_record(VkCommandBuffer cmd, const plan &plan, uint32_t first = 0,
                      uint32_t count = 0) const {
        return detail::done([&](tulle_error *error) {
            return tulle_cmd_attention(cmd, plan.get(), get(), first, count, error);
        });
    }
#ifndef TULLE_NO_EXCEPTIONS
    static binding create(const plan &plan, const tulle_buffers &buffers) {
        return try_create(plan, buffers).value();
    }
    void record(VkCommandBuffer cmd, const plan &plan, uint32_t first = 0,
                uint32_t count = 0) const {
        try_record(cmd, plan, first, count).value();
    }
#endif
};

// -------------------------------------------------------------------------------------------------
// Merging

/// Two finished results to be joined on the device.
class merger : public handle<tulle_merger, tulle_merger_destroy> {
  public:
    using handle::handle;
    static result<merger> try_create(const context &context, uint32_t rows, uint32_t v_head_dim,
                                     tulle_dtype dtype, const tulle_buffer &into_o,
                                     const tulle_buffer &into_lse, const tulle_buffer &from_o,
                                     const tulle_buffer &from_lse) {
        return detail::made<merger>([&](tulle_merger **out, tulle_error *error) {
            return tulle_merger_create(context.get(), rows, v_head_dim, dtype, &into_o, &into_lse,
                                       &from_o, &from_lse, out, error);
        });
    }
    status try_record(VkCommandBuffer cmd) const {
        return detail::done([&](tulle_error *error) { return tulle_cmd_merge(cmd, get(), error); });
    }
#ifndef TULLE_NO_EXCEPTIONS
    static merger create(const context &context, uint32_t rows, uint32_t v_head_dim,
                         tulle_dtype dtype, const tulle_buffer &into_o,
                         const tulle_buffer &into_lse, const tulle_buffer &from_o,
                         const tulle_buffer &from_lse) {
        return try_create(context, rows, v_head_dim, dtype, into_o, into_lse, from_o, from_lse)
            .value();
    }
    void record(VkCommandBuffer cmd) const { try_record(cmd).value(); }
#endif
};

/// tulle_merge on the host: LSE's length says how many rows there are.
inline status try_merge(uint32_t v_head_dim, tulle_dtype dtype, const output &into_o,
                        span<float> into_lse, const input &from_o, span<const float> from_lse) {
    const std::size_t rows = into_lse.size(), element = tulle_dtype_size(dtype);
    if (from_lse.size() != rows)
        return detail::invalid("into_lse has %zu rows and from_lse %zu; they must have as many",
                               rows, from_lse.size());
    if (into_o.element() != element || from_o.element() != element)
        return detail::invalid("O has elements of %zu and %zu bytes; dtype's have %zu",
                               into_o.element(), from_o.element(), element);
    if (v_head_dim && (into_o.count() / v_head_dim < rows || from_o.count() / v_head_dim < rows))
        return detail::invalid("O has %zu and %zu elements; too few for %zu rows of %u",
                               into_o.count(), from_o.count(), rows,
                               static_cast<unsigned>(v_head_dim));
    return detail::done([&](tulle_error *error) {
        return tulle_merge(rows, v_head_dim, dtype, into_o.data(), into_lse.data(), from_o.data(),
                           from_lse.data(), error);
    });
}

#ifndef TULLE_NO_EXCEPTIONS
inline std::vector<tulle_device_info> devices() { return try_devices().value(); }
inline void merge(uint32_t v_head_dim, tulle_dtype dtype, const output &into_o,
                  span<float> into_lse, const input &from_o, span<const float> from_lse) {
    try_merge(v_head_dim, dtype, into_o, into_lse, from_o, from_lse).value();
}
#endif

}  // namespace tulle

#endif
