// SPDX-License-Identifier: MIT
//
// tulle.hpp's owners: what was moved from is safe, errors come with their message, thrown (where there are exceptions) or as
// results, and arrays of another length than the plan's are refused. No device is needed for the first half.
#include <tulle/tulle.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

static_assert(!std::is_copy_constructible_v<tulle::plan> &&
              std::is_nothrow_move_constructible_v<tulle::plan>);
static_assert(!std::is_copy_constructible_v<tulle::patterns> &&
              std::is_nothrow_move_assignable_v<tulle::patterns>);

namespace {

constexpr uint32_t length = 8, dim = 8;
int cases, failures;

void is(bool fine, const char *name) {
    failures += !fine;
    std::printf("%sok %d - %s\n", fine ? "" : "not ", ++cases, name);
}

template <class Result> bool fails(const Result &result, tulle_result kind, const char *text) {
    const bool fine = !result && result.error().result == kind &&
                      std::strstr(result.error().message, text) != nullptr;
    if (!fine)
        std::printf("# %s: \"%s\"; expected \"%s\"\n", tulle_result_name(result.error().result),
                    result.error().message, text);
    return fine;
}

#ifndef TULLE_NO_EXCEPTIONS
template <class F> bool throws(F f, tulle_result kind, const char *text) {
    try {
        f();
    } catch (const tulle::exception &failure) {
        return failure.result() == kind && std::strstr(failure.what(), text);
    }
    return false;
}
#endif

tulle_attention_desc description() {
    tulle_attention_desc desc{};
    desc.heads = 2;
    desc.kv_heads = 1;
    desc.q_len = desc.kv_len = length;
    desc.head_dim = dim;
    desc.buffer_usage = TULLE_USAGE_HOST;
    return desc;
}

tulle_term window(int64_t left) {
    tulle_term term{};
    term.kind = TULLE_WINDOW;
    term.left = left;
    return term;
}

void patterns() {
    const tulle_term terms[] = { window(3), window(5) };
    tulle::result<tulle::pattern> made = tulle::pattern::try_create(terms);
    is(made && made->to_string() == "window:3,0+window:5,0", "a pattern of an array of terms");
    tulle::pattern first = *std::move(made), second = std::move(first);
    tulle_pattern_site site{};
    site.kv_len = length;
    is(!first && first.to_string().empty() && !first.selects(site, 1, 1),
       "a pattern that was moved from is empty");
    is(second && second.selects(site, 7, 2) && !second.selects(site, 7, 1),
       "and the other has what it had");
    first = std::move(second);
    tulle::pattern &same = first;
    first = std::move(same);
    is(first && !second, "moved back, and to itself");
    is(fails(tulle::pattern::try_create(std::vector<tulle_term>{ window(-7) }),
             TULLE_ERROR_INVALID_ARGUMENT, "-7"),
       "a term that is refused names the number");
    is(fails(tulle::pattern::try_create({}), TULLE_ERROR_INVALID_ARGUMENT, "term_count is 0"),
       "no terms are no pattern");

    tulle::result<tulle::patterns> read = tulle::patterns::try_parse("window:3,0;dense+sink:2");
    is(read && read->size() == 2 && read->to_string() == "window:3,0;dense+sink:2",
       "patterns print as they are read");
    tulle::patterns taken = *std::move(read);
    is(read->size() == 0 && read->to_string().empty() && taken.size() == 2,
       "patterns that were moved from are empty");
    is(fails(tulle::patterns::try_parse("wndow:3,0"), TULLE_ERROR_SYNTAX, "wndow"),
       "a spec that cannot be read says where");
#ifndef TULLE_NO_EXCEPTIONS
    is(throws([] { tulle::patterns::parse("wndow:3,0"); }, TULLE_ERROR_SYNTAX, "wndow"),
       "the same thrown, with its message");
    is(throws([] { tulle::pattern::create({}); }, TULLE_ERROR_INVALID_ARGUMENT, "term_count is 0"),
       "and of a pattern");
#endif
}

void empty_handles() {
    const tulle::context context;
    const tulle::plan plan;
    const tulle::binding binding;
    is(!std::strlen(context.info().name) && !plan.info().dispatches,
       "an empty context and plan answer with zeros");
    is(fails(tulle::plan::try_create(context, description()), TULLE_ERROR_INVALID_ARGUMENT,
             "context is NULL"),
       "an empty context makes no plan");
    is(fails(plan.try_attention({}), TULLE_ERROR_INVALID_ARGUMENT, "plan is NULL"),
       "an empty plan does not run");
    is(fails(plan.try_count_pairs(), TULLE_ERROR_INVALID_ARGUMENT, "plan is NULL"), "nor count");
    is(fails(plan.try_prepare(nullptr), TULLE_ERROR_INVALID_ARGUMENT, "NULL") &&
           fails(binding.try_record(nullptr, plan), TULLE_ERROR_INVALID_ARGUMENT, "NULL") &&
           fails(tulle::binding::try_create(plan, {}), TULLE_ERROR_INVALID_ARGUMENT, "NULL") &&
           fails(tulle::merger().try_record(nullptr), TULLE_ERROR_INVALID_ARGUMENT, "NULL"),
       "nor record");
#ifndef TULLE_NO_EXCEPTIONS
    is(throws([&] { plan.attention({}); }, TULLE_ERROR_INVALID_ARGUMENT, "plan is NULL"),
       "the same thrown");
#endif
}

void merging() {
    std::array<float, 8> o{ 1, 1, 1, 1 }, other{ 3, 3, 3, 3, 5, 5, 5, 5 };
    std::array<float, 2> lse{ 0, -INFINITY }, other_lse{ 0, 1 };
    const bool merged = static_cast<bool>(tulle::try_merge(4, TULLE_F32, o, lse, other, other_lse));
    is(merged && std::fabs(o[0] - 2) < 1e-6f && std::fabs(o[7] - 5) < 1e-6f, "results are merged");
    is(fails(tulle::try_merge(8, TULLE_F32, o, lse, other, other_lse), TULLE_ERROR_INVALID_ARGUMENT,
             "too few for 2 rows of 8"),
       "an O that is too short is refused");
    is(fails(tulle::try_merge(4, TULLE_F16, o, lse, other, other_lse), TULLE_ERROR_INVALID_ARGUMENT,
             "elements of 4 and 4 bytes"),
       "an O of other elements too");
    is(fails(tulle::try_merge(4, TULLE_F32, o, lse, other, tulle::span<const float>()),
             TULLE_ERROR_INVALID_ARGUMENT, "from_lse 0"),
       "and an LSE of other rows");
}

void attention(const tulle::context &context) {
    const std::array<int32_t, 1> keys{ 6 };
    tulle::lists lists;
    lists.kv_lengths = keys;
    const tulle_term terms[] = { window(1) };
    tulle::result<tulle::pattern> pattern = tulle::pattern::try_create(terms);
    tulle::result<tulle::plan> made =
        tulle::plan::try_create(context, description(), *pattern, lists);
    pattern->reset();  // a plan keeps what it needs
    if (!made) std::printf("# %s\n", made.error().message);
    tulle::plan plan = *std::move(made), moved = std::move(plan);
    is(!plan && moved && !plan.info().dispatches && moved.info().dispatches, "a plan is moved");
    const tulle::result<tulle::plan> two = tulle::plan::try_create(
        context, description(), *tulle::patterns::try_parse("window:1,0;sink:2"));
    const tulle::result<uint64_t> pairs = two->try_count_pairs();
    is(pairs && *pairs == 2 * length - 1 + 2 * length,
       "patterns that are read in place make a plan");

    std::vector<float> q(2 * length * dim), k(length * dim), v(length * dim), o(2 * length * dim);
    for (size_t i = 0; i < v.size(); i++) v[i] = static_cast<float>(i / dim);
    tulle::host_arrays arrays;
    arrays.q = q;
    arrays.k = k;
    arrays.v = v;
    arrays.o = o;
    const tulle::status ran = moved.try_attention(arrays);
    // six keys, the last query at the last: rows 0 and 1 stand before all of them
    bool fine = static_cast<bool>(ran);
    for (uint32_t row = 0; row < length; row++) {
        const float mean = row <= 2 ? 0 : static_cast<float>(row) - 2.5f;
        fine = fine && std::fabs(o[row * dim] - mean) < 1e-5f &&
               std::fabs(o[(length + row) * dim] - mean) < 1e-5f;
    }
    is(fine, "it runs: Q of 0, so O is the mean of V over each window");
    is(fails(plan.try_attention(arrays), TULLE_ERROR_INVALID_ARGUMENT, "plan is NULL"),
       "what was moved from does not");

    tulle::host_arrays bad = arrays;
    bad.k = tulle::span<const float>(k.data(), k.size() - 1);
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT,
             "k has 63 elements; too few for [1, 1, 8, 8]"),
       "an array that is too short is refused");
    bad = arrays;
    bad.o_strides = { 0, dim, 2 * dim + 1 };
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "o has 128 elements"),
       "and strides that leave it");
    bad.o_strides = { 0, dim, -2 };
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "negative"),
       "and negative ones");
    bad = arrays;
    bad.k = tulle::span<const float>(k.data(), dim);
    bad.k_broadcast = true;
    is(static_cast<bool>(moved.try_attention(bad)), "one row for all is taken");
    bad.k = tulle::span<const float>(k.data(), dim - 1);
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "k has 7 elements"),
       "and less than one is refused");
    bad = arrays;
    std::vector<uint16_t> halves(q.size());
    bad.q = halves;
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "q has elements of 2 bytes"),
       "and other elements");
    bad = arrays;
    bad.v = {};
    is(fails(moved.try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "v is NULL"), "and none");

    lists.alibi_slopes = tulle::span<const float>(q.data(), 3);
    is(fails(tulle::plan::try_create(context, description(), {}, lists),
             TULLE_ERROR_INVALID_ARGUMENT, "alibi_slopes has 3 entries; 2 are wanted"),
       "a list of another length is refused");
    tulle_attention_desc odd = description();
    odd.head_dim = 1000;
    is(fails(tulle::plan::try_create(context, odd), TULLE_ERROR_INVALID_ARGUMENT,
             "head_dim is 1000"),
       "the library's errors come through");
#ifndef TULLE_NO_EXCEPTIONS
    is(throws([&] { tulle::plan::create(context, odd); }, TULLE_ERROR_INVALID_ARGUMENT,
              "head_dim is 1000"),
       "and are thrown with their message");
#endif
    moved.reset();
    is(!moved && fails(moved.try_attention(arrays), TULLE_ERROR_INVALID_ARGUMENT, "plan is NULL"),
       "a plan that was reset is empty");
}

void pages(const tulle::context &context) {
    constexpr uint32_t size = 4, pool = 3;
    tulle_attention_desc desc = description();
    desc.page_size = size;
    desc.pages = pool;
    desc.table_columns = 2;
    const tulle::result<tulle::plan> plan = tulle::plan::try_create(context, desc);
    std::vector<float> q(2 * length * dim), k(pool * size * dim), v(k.size()), o(q.size());
    for (size_t i = 0; i < v.size(); i++) v[i] = static_cast<float>(i / dim);
    const std::array<int32_t, 3> table{ 2, 0, 1 };
    tulle::host_arrays arrays;
    arrays.q = q;
    arrays.k = k;
    arrays.v = v;
    arrays.o = o;
    arrays.page_table = tulle::span<const int32_t>(table.data(), 2);
    is(plan->try_attention(arrays) && std::fabs(o[0] - 5.5f) < 1e-5f,
       "pages: O is the mean of rows 8 to 11 and 0 to 3");
    tulle::host_arrays bad = arrays;
    bad.page_table = table;
    is(fails(plan->try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT,
             "page_table has 3 entries; 2 are wanted"),
       "a table of another length is refused");
    bad = arrays;
    bad.v = tulle::span<const float>(v.data(), v.size() - 1);
    is(fails(plan->try_attention(bad), TULLE_ERROR_INVALID_ARGUMENT, "too few for [3, 1, 4, 8]"),
       "and a pool that is too short");
}

}  // namespace

int main() {
    patterns();
    empty_handles();
    merging();
    tulle::result<tulle::context> made = tulle::context::try_create();
    if (made) {
        tulle::context first = *std::move(made), context = std::move(first);
        is(!first && std::strlen(context.info().name) > 0, "a context is moved");
        const auto devices = tulle::try_devices();
        is(devices && !devices->empty(), "devices are listed");
        attention(context);
        pages(context);
    } else {
        std::printf("ok %d - attention # SKIP %s\n", ++cases, made.error().message);
    }
    std::printf("1..%d\n", cases);
    return failures > 0;
}
